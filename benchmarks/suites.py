"""The comparisons by name."""

from benchmarks import gradient, hessian

SUITES = {module.SUITE.name: module.SUITE for module in (gradient, hessian)}
