"""The page of a report: one HTML file that shows a run, opened from a disk or an e-mail, without a server."""
