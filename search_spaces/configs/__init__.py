"""The valid configs of a sweep: combinations of a grid, random draws, and what is valid of them."""
