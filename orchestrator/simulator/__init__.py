"""Nights on a virtual clock, with the decisions that a driver makes."""
