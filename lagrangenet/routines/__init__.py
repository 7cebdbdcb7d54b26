"""From stationarity conditions to routines: an intermediate representation with provenance."""
