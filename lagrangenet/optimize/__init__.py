"""Training as constrained optimization: one ``minimize``, many methods, each result certified."""
