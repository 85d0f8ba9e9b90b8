"""Early stopping: which running trials cannot win. Pure rules, and a thread that applies them."""
