"""The Parquet tables of a run: their schema, and reading them."""
