"""Formula answers: read, compared with the derived conditions, and their mistakes named."""
