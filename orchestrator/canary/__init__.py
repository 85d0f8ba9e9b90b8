"""The canary: a few short trials on every node before a night: what would fail fails while somebody is there."""
