"""The sections of a sweep file that are settings of their own: search, early stopping, replicates, budget and so on."""
