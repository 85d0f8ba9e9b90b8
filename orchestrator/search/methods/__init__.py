"""The adaptive methods, and the models and candidates that they share. Pure; loaded only where a sweep needs them."""
