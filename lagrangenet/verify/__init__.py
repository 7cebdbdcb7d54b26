"""Checks of the generated routines against oracles that share no code with them."""

from lagrangenet.verify.certificate import Certificate, CheckResult
from lagrangenet.verify.classification import Stationary, classify
from lagrangenet.verify.verify import verify

__all__ = ["Certificate", "CheckResult", "Stationary", "classify", "verify"]
