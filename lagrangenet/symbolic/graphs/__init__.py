"""The constrained problem of a graph: its layers' equations differentiated once, then put together."""
