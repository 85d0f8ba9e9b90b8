"""Frozen random maps: regenerated from a seed, the same bytes on every machine."""
