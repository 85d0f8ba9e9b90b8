"""How far a sweep is: its status, and the live display."""
