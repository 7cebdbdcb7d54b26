"""A linked program as one C11 file, which needs a C compiler with vector extensions, and libm.

Data are laid out once (``model_pack``); after that every routine is a function of flat vectors. The
file is made for SAMPLES samples, which may be changed when it is compiled. It keeps no state but the
pointer to a BLAS, if one is handed over.
"""

from __future__ import annotations

import textwrap
from dataclasses import replace
from importlib.resources import files

from lagrangenet.emit.c import one
from lagrangenet.emit.c.after import Afterwards
from lagrangenet.emit.c.places import Places
from lagrangenet.emit.c.plan import LANES_BYTES, WIDE_LAYER, WORTH_SHARING, Plan, shape
from lagrangenet.emit.c.products import chunk_of, chunked
from lagrangenet.emit.c.sums import COLUMNS_IN_CACHE, is_large, turned_columns
from lagrangenet.emit.c.tile import Tile
from lagrangenet.emit.c.writer import NARROW, WIDE, Functions
from lagrangenet.routines.ir import Program
from lagrangenet.routines.kernels import Linear, Outer, Sum, kernels

#: Parameters of what is done with one tile.
_TILE = (
    "const T *theta, const T *x, const T *y, const T *direction, T *work, T *g, T *sums, "
    "int samples, int first"
)
#: Parameters up to which all functions of a small batch are put where they are called.
INLINE_PARAMETERS = 256


def emit(
    program: Program,
    dtype: str = "float64",
    samples: int = 128,
    threads: int = 1,
    vector: int = 32,
    blas: bool = False,
) -> str:
    """A linked program as the text of a C file.

    Parameters
    ----------
    program : Program
        From :func:`lagrangenet.routines.passes.link.link`.
    dtype : {"float64", "float32"}
    samples : int
        The number of samples that tiles are chosen for.
    threads : int
        How many share the tiles, with threads of their own.
    vector : {16, 32, 64}
        Bytes of a vector register of the machine.
    blas : bool
        Give products of some size to BLAS, and leave threads to it.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> from lagrangenet.routines.lower import lower
    >>> from lagrangenet.routines.passes.link import link
    >>> from lagrangenet.symbolic.derivation import derive
    >>> source = emit(link(lower(derive(chain([2, 3, 1])))))
    >>> [line for line in source.splitlines() if line.startswith("double model_value_and_grad")]
    ['double model_value_and_grad(const T *theta, const T *x, const T *y, T *work, T *out)']
    """
    return _File(program, dtype, samples, 1 if blas else threads, vector, blas).source()


def header(program: Program, dtype: str = "float64") -> str:
    """The declarations for a C program that is linked with the file.

    Examples
    --------
    >>> from lagrangenet.problem import chain
    >>> from lagrangenet.routines.lower import lower
    >>> from lagrangenet.routines.passes.link import link
    >>> from lagrangenet.symbolic.derivation import derive
    >>> print(header(link(lower(derive(chain([2, 3, 1]))))).splitlines()[-3])
    double model_value_and_grad(const double *theta, const double *x, const double *y, double *work, double *out);
    """
    real = "double" if dtype == "float64" else "float"
    text = (files(__package__) / "model.h").read_text(encoding="utf-8").replace("REAL", real)
    routines = "\n".join(f"{signature(r.name, real)};" for r in program.routines)
    return text.replace("ROUTINES", routines)


def signature(name: str, real: str) -> str:
    """The head of a routine."""
    vectors = ["theta", "x", "y", *["direction"] * name.endswith("product")]
    parameters = [f"const {real} *{v}" for v in vectors] + [f"{real} *work"]
    parameters += [f"{real} *out"] * (name != "value")
    kind = "double" if name.startswith("value") else "void"
    return f"{kind} model_{name}({', '.join(parameters)})"


class _File:
    """One file."""

    def __init__(
        self,
        program: Program,
        dtype: str,
        samples: int,
        threads: int,
        vector: int,
        blas: bool,
    ) -> None:
        self.program, self.problem, self.dtype = program, program.problem, dtype
        self.functions = Functions()
        self.plans = {
            r.name: Plan(kernels(r, self.problem), self.problem, samples, blas)
            for r in program.routines
        }
        self.blas = any(plan.blas for plan in self.plans.values())
        self.threads = 1 if samples * self.problem.size < WORTH_SHARING else threads
        widest = max(plan.components for plan in self.plans.values())
        own = self.problem.inputs + self.problem.widths[-1]
        size = 8 if dtype == "float64" else 4
        self.blocks = WIDE if vector == 64 else NARROW
        large = self.blas or max(self.problem.inputs, *self.problem.widths) > WIDE_LAYER
        self.shape = shape(samples, dtype, (widest + own) * size, large, self.threads, vector)
        self.one = one.lanes(self.problem, samples, vector // size)
        if self.one:
            self.shape = replace(self.shape, lanes=max(self.one, 16 // size), across=True)
        weights = self.problem.size * self.shape.lanes * size
        self.lanes = (
            self.shape.tiles > 2 * self.threads and not self.blas and weights <= LANES_BYTES
        )
        small = self.problem.size <= INLINE_PARAMETERS
        self.inline = small and self.threads == 1 and not self.blas and self.shape.in_registers
        self.spare = self._spare()
        self.most_scalars = max(
            1, *(sum(isinstance(s, Sum) and not s.target.axes for s in p.kernels.tile)
                 for p in self.plans.values())
        )  # fmt: skip
        self.components = widest

    def _spare(self) -> int:
        """Components of the scratch array of large products; 0 if there are none."""
        found = [0]
        for plan in self.plans.values():
            width = plan.kernels.width
            for step in (s for group in plan.groups for s in group.steps if not plan.on_blas(s)):
                if isinstance(step, Outer) and is_large(step, plan, self.shape):
                    found.append(turned_columns(step, plan, self.shape))
                elif isinstance(step, Linear):
                    sizes = (width(term.state) for term in step.terms)
                    found += [chunk_of(self.shape) for n in sizes if chunked(n, self.shape)]
        return max(found)

    def source(self) -> str:
        """The whole text."""
        routines = [self.routine(name) for name in self.plans]
        vectors, tiles, calls = (
            (files(__package__) / name).read_text(encoding="utf-8")
            for name in ("vector.h", "tiles.h", "calls.h")
        )
        parts = [self.head(), vectors, self.constants(), tiles]
        if self.threads > 1:
            parts.insert(3, (files(__package__) / "pool.h").read_text(encoding="utf-8"))
        if self.one:
            parts.append((files(__package__) / "one.h").read_text(encoding="utf-8"))
        if self.spare:
            parts.append((files(__package__) / "large.h").read_text(encoding="utf-8"))
        parts += [*self.functions.source(), *routines, calls]
        return "\n\n".join(part.strip("\n") for part in parts) + "\n"

    def head(self) -> str:
        """What the file is."""
        title = textwrap.fill(f"{self.problem}.", 95, break_long_words=False).replace("*/", "")
        return "\n".join([
            *(f"{'/*' if j == 0 else ' *'} {line}" for j, line in enumerate(title.splitlines())),
            " *",
            " *     minimize    J = (1/M) Σ_i ℓ(y_i, x_i^N) + ρ Ω(θ)",
            " *     subject to  x_i^k = σ^k(z_i^k),  z_i^k = W^k x_i^{k-1} + b^k",
            " *     Lagrangian  L = J + Σ_k Σ_i ⟨μ_i^k, z_i^k − W^k x_i^{k-1} − b^k⟩ + ⟨λ_i^k, x_i^k − σ^k(z_i^k)⟩",
            " *",
            " * Every call is labelled with the stationarity condition of L that it came from:",
            " * (S0) ∂L/∂μ^k = 0, (S1) ∂L/∂λ^k = 0, (S2, S3) ∂L/∂x^k = 0, (S4) ∂L/∂z^k = 0, (S5) ∂L/∂W^k,",
            " * (S6) ∂L/∂b^k; (T0) to (T6) are the same of the tangent Lagrangian. Generated by lagrangenet.",
            " */",
            *["#define _GNU_SOURCE 1 /* to know cores */"] * (self.threads > 1),
            f"#define REAL_IS_DOUBLE {int(self.dtype == 'float64')}",
            f"#define FEW_SAMPLES {int(self.shape.samples <= 2 * self.shape.lanes)}",
            f"#define VECTOR_BYTES {self.shape.lanes * (8 if self.dtype == 'float64' else 4)}",
        ])  # fmt: skip

    def constants(self) -> str:
        """Sizes, as names."""
        s = self.shape
        lines = [
            "#ifndef SAMPLES",
            f"#define SAMPLES {s.samples}",
            "#endif",
            "enum {",
            f"    INPUTS = {self.problem.inputs}, OUTPUTS = {self.problem.widths[-1]},",
            f"    PARAMETERS = {self.problem.size},",
            f"    TILE = {s.tile}, STEP = {s.step}, STRIDE = {s.stride},",
            "    TILES = (SAMPLES + TILE - 1) / TILE,",
            f"    COMPONENTS = {self.components}, SUMS_IN_LANES = {int(self.lanes)}, SCALARS = {self.most_scalars}",
            "};",
            f"#define THREADS {self.threads}",
            f"#define SPARE ((size_t){self.spare} * TILE)",
            f"#define BLOCK_ROWS {self.blocks.rows}",
            *[f"#define COLUMNS_IN_CACHE {COLUMNS_IN_CACHE}"] * bool(self.spare),
            *(["#define HAS_GRADIENT"] if "value_and_grad" in self.plans else []),
            *(["#define HAS_PRODUCTS"] if "hessian_product" in self.plans else []),
        ]
        if self.problem.class_weights:
            weights = ", ".join(map(repr, self.problem.class_weights))
            lines += ["", f"static const T class_weights[] = {{{weights}}};"]
        return "\n".join(lines)

    # -- routines ------------------------------------------------------------------------------

    def routine(self, name: str) -> str:
        """A routine: what it does with a tile, then with all of them."""
        plan = self.plans[name]
        places = Places(plan, self.problem, self.lanes)
        if self.one:
            lines = [*one.OneSample(plan.kernels, self.problem, places.address).lines()]
        else:
            tile = Tile(places, self.shape, self.blocks, self.functions, self.inline, self.spare)
            lines = tile.lines()
        afterwards = Afterwards(places)
        valued, along = name.startswith("value"), name.endswith("product")
        out, direction = ("NULL" if name == "value" else "out"), ("direction" if along else "NULL")
        sums = "sums" if valued else "NULL"
        after = [line for step in plan.kernels.after for line in afterwards.lines(step)]
        return "\n".join([
            f"/* {plan.kernels.routine.summary} */",
            f"{'INLINE' if self.one or self.inline else 'static'} void tile_{name}({_TILE})",
            "{",
            *(f"    {line}" for line in lines),
            "}",
            "",
            signature(name, "T"),
            "{",
            *["    double J = 0, sums[SCALARS] = {0};"] * valued,
            f"    all_tiles(tile_{name}, theta, x, y, {direction}, work, {out}, {sums});",
            *(f"    {line}" for line in after),
            *["    return J;"] * valued,
            "}",
        ])  # fmt: skip
