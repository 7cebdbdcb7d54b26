"""What the ways to IPOPT share: settings, reports of iterates, and its last word with a remedy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lagrangenet.optimize.methods import Options
from lagrangenet.optimize.trust_constr import BARRIER
from lagrangenet.runtime import Array

_NEVER = 10**9
#: CasADi's options.
QUIET = {
    "print_time": False,
    "calc_lam_p": False,
    "no_nlp_grad": True,
    "show_eval_warnings": False,
}
#: IPOPT's own status in words that say what to do.
REMEDIES = {
    "Infeasible_Problem_Detected": "it sees no way to the constraints from here; start elsewhere",
    "Restoration_Failed": "it found no way back to the constraints; start elsewhere (seed, x0)",
    "Search_Direction_Becomes_Too_Small": "steps are too small; a larger tol, or 'lifted-newton'",
    "Diverging_Iterates": "variables grow without bound; add a regularizer",
    "Invalid_Number_Detected": "J or a derivative had no finite value; start elsewhere (seed, x0)",
}


def settings(options: Options, limited: bool) -> dict[str, Any]:
    """IPOPT's own options; ``limited`` if there are limits on θ that can be active."""
    tol = options["tol"] / 10
    return {
        "print_level": 0,
        "sb": "yes",
        "tol": tol,
        "dual_inf_tol": tol,
        "constr_viol_tol": tol,
        "compl_inf_tol": BARRIER * tol if limited else tol,
        "acceptable_iter": 0,
        "max_iter": _NEVER,
        "nlp_scaling_method": "none",
        "bound_relax_factor": 0.0,
        "mu_strategy": options["mu_strategy"],
    }


def last_word(solver: Any, tell: Any) -> str:
    """How IPOPT ended, with what to do about it; what stopped it is raised again."""
    if tell.stopped is not None:
        raise tell.stopped
    status = str(solver.stats()["return_status"])
    remedy = REMEDIES.get(status, "")
    return f"IPOPT: {status}{'; ' * bool(remedy)}{remedy}"


def iterates(variables: int, rows: int, report: Callable[[Array, Array], None]) -> Any:
    """What IPOPT calls at every iterate; it keeps why it ended the run in ``stopped``.

    Parameters
    ----------
    variables, rows : int
        How many variables and constraints there are.
    report : callable
        Is told the variables and IPOPT's multipliers of the constraints; may raise Stop.
    """
    import casadi as ca

    class Tell(ca.Callback):
        stopped: Exception | None = None

        def __init__(self) -> None:
            ca.Callback.__init__(self)
            self.construct("iterate", {})

        def get_n_in(self) -> int:
            return int(ca.nlpsol_n_out())

        def get_n_out(self) -> int:
            return 1

        def get_name_in(self, i: int) -> str:
            return str(ca.nlpsol_out(i))

        def get_name_out(self, _: int) -> str:
            return "ret"

        def get_sparsity_in(self, i: int) -> Any:
            lengths = {"x": variables, "lam_x": variables, "f": 1, "g": rows, "lam_g": rows}
            length = lengths.get(ca.nlpsol_out(i), 0)
            return ca.Sparsity.dense(length, min(length, 1))

        def eval(self, arguments: Sequence[Any]) -> list[int]:
            named = {ca.nlpsol_out(i): a.full().ravel() for i, a in enumerate(arguments)}
            try:
                report(named["x"], named["lam_g"])
            except Exception as error:  # noqa: BLE001  # raised again by last_word, past CasADi
                self.stopped = error
                return [1]
            return [0]

    return Tell()
