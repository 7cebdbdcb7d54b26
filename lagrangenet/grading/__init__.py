"""Homework, verified: submissions in, verdicts and named mistakes out."""
