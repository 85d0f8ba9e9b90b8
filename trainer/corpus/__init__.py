"""Making a dataset: read text, train a tokenizer, write shards; or download prepared shards."""
