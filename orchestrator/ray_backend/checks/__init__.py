"""Short trials that check nodes: the canary before a sweep, sentinels during it."""
