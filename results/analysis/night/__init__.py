"""What a whole run came to: where its money went, how its front grew, what was forecast, what differs from others."""
