"""What a user should know once: that something slower was taken, and why."""

from __future__ import annotations

import logging
from functools import cache


@cache
def say_once(text: str) -> None:
    """Log a warning the first time that this text is given; the program goes on."""
    logging.getLogger("lagrangenet").warning(text)
