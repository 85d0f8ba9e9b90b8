"""ResultsError: bad input to this package."""


class ResultsError(ValueError):
    """A folder, table or request that cannot be used; the message is one line that says what to do."""
