"""One trial: train a model, pack it into an artifact, reload the artifact and score it."""
