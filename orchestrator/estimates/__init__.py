"""What trials are expected to take: operations, seconds, bytes of memory. Pure, but for `cpu_speed.py`."""
