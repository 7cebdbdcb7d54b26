"""Measurements of the package: ``python -m benchmarks derivation``."""
