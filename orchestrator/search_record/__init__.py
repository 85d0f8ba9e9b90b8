"""The record of a search in a run folder: its file, resuming from it, showing it, exporting it."""
