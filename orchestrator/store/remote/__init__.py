"""Runs in an object store: files by URI, one driver at a time, a local copy and the sending of what changes in it."""
