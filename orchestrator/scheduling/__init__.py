"""Decisions about trials: which may run, and where. Pure functions, free of Ray."""
