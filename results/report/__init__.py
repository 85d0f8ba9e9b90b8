"""Reports: Markdown pages, terminal tables, and how numbers are written."""
