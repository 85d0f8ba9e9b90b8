"""Reads a sweep file: YAML in, a checked SweepSpec and its trial configs out."""
