"""The canary: a few short trials on every node before a night, so that nothing fails when nobody is there."""
