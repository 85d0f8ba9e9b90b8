"""Sweep files, one YAML per question, and the loader that keeps the line number of every key."""
