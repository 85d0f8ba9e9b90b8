"""What to try next: the space of a run, shrunken to the surroundings of its front."""
