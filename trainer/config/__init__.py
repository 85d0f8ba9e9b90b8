"""The config tree of one trial, a file per section; `trial.py` puts them together."""
