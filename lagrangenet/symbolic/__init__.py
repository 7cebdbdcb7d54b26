"""The Lagrangian and its stationarity conditions, derived once for symbolic depth."""
