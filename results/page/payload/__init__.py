"""The data of the page's script: columns of plain numbers and words, rounded to what is drawn."""
