"""The tables of a finished or running sweep: `results.load(folder)` gives `.trials` and `.curves`."""
