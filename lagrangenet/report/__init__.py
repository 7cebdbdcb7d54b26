"""Views of derivations and certificates for people."""
