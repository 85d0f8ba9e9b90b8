"""A prepared dataset: open and check it, take batches and validation rows from it."""
