"""The artifact file: pack, read, its format, quantization, compression, and its size before training."""
