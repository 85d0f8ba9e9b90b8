"""The sections of the page: one pure function each, `section(page) -> Section | None`."""
