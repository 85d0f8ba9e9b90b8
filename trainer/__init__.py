"""One trial: a config goes in, a trained model packed into one artifact and scored from that artifact comes out."""
