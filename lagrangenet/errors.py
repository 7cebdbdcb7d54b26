"""Every error a user can cause, each with its cause and its remedy in the message.

All of them derive from :class:`LagrangenetError`, so that a caller (the command line, a grader)
can tell bad input from a defect of the package. Refuses nothing itself.
"""


class LagrangenetError(Exception):
    """Base of all errors that the package raises on purpose."""


class ProblemError(LagrangenetError, ValueError):
    """A problem declaration that cannot be meant: unknown name, width 0, loss without its output."""


class DataError(LagrangenetError, ValueError):
    """Arrays or files that do not fit the problem: shape, dtype, NaN, missing value, labels."""


class DerivationError(LagrangenetError):
    """A condition the symbolic engine cannot derive or lower; it names the condition and the term."""


class IsolationError(LagrangenetError):
    """Code that must not run as it is: the kernel lacks the isolation asked for, or none came up."""


class MissingExtra(LagrangenetError, ImportError):
    """An optional dependency is absent; the message holds the install line."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f'{purpose} needs {package}, which is not installed: pip install "lagrangenet[{extra}]"'
        )
