"""Everything that imports Ray: driver, searcher, session, checks of the cluster."""
