"""Nodes of a Ray cluster: what they are, whether they are alive and fit for a sweep."""
