"""A Ray cluster of one's own machines: token, head, workers, and whether its nodes are fit for trials."""
