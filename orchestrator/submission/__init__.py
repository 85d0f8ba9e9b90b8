"""What is handed in: one trial's artifact with the code that scores it, in a folder that needs nothing else."""
