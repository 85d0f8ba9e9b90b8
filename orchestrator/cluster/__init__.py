"""A Ray cluster of one's own machines: token, head, workers, and what is there."""
