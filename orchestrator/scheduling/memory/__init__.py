"""How much memory trials take of a device, and where they have room."""
