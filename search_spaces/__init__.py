"""Sweep files, and the package `spec` that reads them."""
