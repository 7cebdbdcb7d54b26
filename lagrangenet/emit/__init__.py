"""Printers of the intermediate representation: one per target."""
