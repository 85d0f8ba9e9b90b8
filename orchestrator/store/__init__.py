"""The files of a run: the run folder, trial folders, and the Parquet tables made from them."""
