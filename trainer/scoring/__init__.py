"""Scoring: an artifact, tokens, a score. `score.py` is what a submission runs; its code is what is counted."""
