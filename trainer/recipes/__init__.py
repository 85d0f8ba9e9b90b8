"""Recipes: which networks a variant trains, in which phases, and how each of their weights is stored."""
