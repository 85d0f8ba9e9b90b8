"""What a run has cost: which machines were there, who used them, and what came of it."""
