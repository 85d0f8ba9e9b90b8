"""What trials are expected to take: operations, seconds and bytes of memory, from configs and from devices. Pure."""
