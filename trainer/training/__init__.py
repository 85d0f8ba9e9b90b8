"""Training: the loop, optimizers, learning-rate schedule and checkpoints."""
