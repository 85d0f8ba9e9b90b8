"""Many trials: the spec, the search, the driver on Ray Tune, the recorder and the command line."""
