"""Passes: each maps routines to routines of equal value. One file each."""
