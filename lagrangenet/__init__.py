"""Neural networks as constrained optimization."""
