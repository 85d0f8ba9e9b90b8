"""Commands that read runs and change nothing: `importance`, `suggest` and `ls`."""
