"""The torch networks of a trial: GPT, linear maps, losses, initial weights."""
