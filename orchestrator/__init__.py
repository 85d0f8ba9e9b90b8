"""Runs sweeps: search, scheduling, the Ray backend, the files of a run, progress and the command line."""
