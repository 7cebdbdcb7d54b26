"""What rounding may do to a result: the stages of NumPy, run on numbers that carry a bound.

An :class:`Uncertain` array is a value in long double, and how far from it a calculation in a shorter
type may be: Wilkinson's running error analysis [1]_. An operation moves each operand to the ends of
its bound; then it rounds, by ``eps`` of its result (a function by ``ULPS`` of them, a sum by one for
each term, in any order), and what underflows is lost (``tiny``), also of what is given: XLA takes
numbers below the smallest normal one for zero. A comparison that the bounds leave open may take
either branch. A bound that overflows is infinite: it says nothing. Nothing is measured on the code
that is judged.

Where long double is no longer than double (:data:`LONGER`) nothing can be said of double.

References
----------
.. [1] N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition, SIAM 2002,
   sections 3.1 and 3.3.
"""

import mpmath
import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

WIDE = np.longdouble
LONGER = np.finfo(WIDE).eps < 1e-3 * np.finfo(float).eps
#: How many ``eps`` a function of a mathematics library may be wrong by.
ULPS = 4
#: Beyond it the error function and its kin are 0, 1 or 2 in long double.
FAR = 1000
_SUMS = {np.add, np.subtract}
_ROUNDED = {np.multiply, np.divide}
_EXACT = {np.negative, np.absolute, np.maximum, np.minimum, np.sign}
_RELATIONS = {np.greater, np.greater_equal, np.less, np.less_equal}


def _exactly(function):
    """A function of mpmath for arrays of long doubles, which SciPy does not take."""

    def one(x):
        high = float(x)
        with mpmath.workdps(30):
            y = function(mpmath.mpf(high) + mpmath.mpf(float(x - WIDE(high))))
            return WIDE(float(y)) + WIDE(float(y - float(y)))

    def all_of(a):
        near = np.clip(np.ravel(a), -FAR, FAR)
        return np.array([one(x) for x in near], WIDE).reshape(np.shape(a))

    return all_of


SPECIAL = {
    "erf": _exactly(mpmath.erf),
    "erfc": _exactly(mpmath.erfc),
    "ndtr": _exactly(mpmath.ncdf),
}


class Uncertain(NDArrayOperatorsMixin):
    """A value in long double, and a bound on the error of a calculation in ``dtype``."""

    def __init__(self, value, error, dtype):
        self.value = np.asarray(value, WIDE)
        self.error = np.where(np.isnan(error), np.inf, np.asarray(error, WIDE))
        self.dtype, self.shape = np.dtype(dtype), self.value.shape
        self.eps, self.tiny = (WIDE(getattr(np.finfo(dtype), name)) for name in ("eps", "tiny"))

    def like(self, value, error):
        """Another number of the same type."""
        return Uncertain(value, error, self.dtype)

    def lift(self, operand):
        """An operand; a constant is rounded to the type."""
        if isinstance(operand, Uncertain):
            return operand
        exact = np.asarray(operand, WIDE)
        return self.like(exact, abs(exact - exact.astype(self.dtype)))

    def moved(self, function, *operands):
        """A function, and how far it moves where each operand goes to the ends of its bound."""
        values = [operand.value for operand in operands]
        value, error = function(*values), WIDE(0)
        for k, operand in enumerate(operands):
            ends = (operand.value - operand.error, operand.value + operand.error)
            by = [abs(function(*values[:k], end, *values[k + 1 :]) - value) for end in ends]
            error = error + np.maximum(*by)
        return self.like(value, error)

    def rounded(self, ulps):
        """The result of an operation that is wrong by so many ``eps``, and may underflow."""
        return self.like(self.value, self.error + ulps * self.eps * abs(self.value) + self.tiny)

    def special(self, name):
        """A function of SciPy; that of the normal distribution is erfc(−x/√2)/2, of a product."""
        argument = self.rounded(1) if name == "ndtr" else self
        return self.moved(SPECIAL[name], argument).rounded(ULPS)

    def __array_ufunc__(self, function, method, *inputs, **options):
        if method != "__call__" or options.keys() - {"out"}:
            return NotImplemented
        if function is np.power:
            return self.moved(lambda base: base ** inputs[1], inputs[0]).rounded(ULPS)
        operands = [self.lift(operand) for operand in inputs]
        if function is np.matmul:
            return self.product(*operands)
        if function in _RELATIONS:
            return Open(function, *operands)
        result = self.moved(function, *operands)
        if function in _SUMS:  # of longer sums in any order: by the terms, not by what is left
            scale = sum(abs(operand.value) for operand in operands)
            return self.like(result.value, result.error + self.eps * scale + self.tiny)
        if function in _EXACT:
            return result
        return result.rounded(1 if function in _ROUNDED else ULPS)

    def product(self, left, right):
        """Rows times columns; |A| |B| bounds the sums of products in any order."""
        a, b = abs(left.value), abs(right.value)
        error = left.error @ b + a @ right.error + left.error @ right.error
        rounding = left.shape[-1] * (self.eps * (a @ b) + self.tiny)
        return self.like(left.value @ right.value, error + rounding)

    def sum(self, **how):
        """A sum in any order."""
        value = self.value.sum(**how)
        terms = self.value.size / np.size(value)
        rounding = terms * (self.eps * abs(self.value).sum(**how) + self.tiny)
        return self.like(value, self.error.sum(**how) + rounding)

    def max(self, **how):
        """The largest entry, which moves by no more than some entry does."""
        return self.like(self.value.max(**how), self.error.max(**how))

    def __array_function__(self, function, types, arguments, options):
        if function is np.where:
            return arguments[0].choose(*arguments[1:])
        if function is np.zeros_like:
            return self.like(np.zeros(self.shape), np.zeros(self.shape))
        return NotImplemented

    def __getitem__(self, at):
        return self.like(self.value[at], self.error[at])

    @property
    def T(self):
        """The transpose."""
        return self.like(self.value.T, self.error.T)

    def astype(self, dtype):
        """The same: a case distinction of numbers asks for the type that it has."""
        assert dtype == self.dtype
        return self


class Open:
    """A comparison, and where the bounds do not decide it."""

    def __init__(self, relation, left, right):
        self.holds = relation(left.value, right.value)
        self.open = abs(left.value - right.value) <= left.error + right.error
        self.lift, self.like = left.lift, left.like

    def choose(self, yes, no):
        """One of two numbers; the other may be meant where the comparison is open."""
        yes, no = self.lift(yes), self.lift(no)
        error = np.where(self.holds, yes.error, no.error)
        either = abs(yes.value - no.value) + np.maximum(yes.error, no.error)
        value = np.where(self.holds, yes.value, no.value)
        return self.like(value, np.where(self.open, either, error))

    def __array_function__(self, function, types, arguments, options):
        return self.choose(*arguments[1:]) if function is np.where else NotImplemented


def uncertain(code, point):
    """J twice, its gradient and both products at a point, by the stages of NumPy."""
    functions = code._functions["forward"].__globals__
    kept = {name: functions[name] for name in SPECIAL if name in functions}
    functions.update({name: _named(name) for name in kept})
    try:
        with np.errstate(all="ignore"):
            return _results(code._functions, point)
    finally:
        functions.update(kept)


def _named(name):
    return lambda number: number.special(name)


def _results(run, point):
    theta, p = (_layers(point.problem, vector, point.dtype) for vector in (point.theta, point.p))
    X, Y = (_given(a, point.dtype) for a in (point.X, point.Y))
    states = run["forward"](theta, X)
    multipliers = run["backward"](theta, states, Y)
    tangents = run["tangent"](theta, X, states, p)
    adjoints = run["second_adjoint"](theta, Y, states, multipliers, p, tangents)
    newton = run["gauss_newton_adjoint"](theta, Y, states, tangents)
    J = run["loss"](theta, states, Y)
    vectors = (
        run["gradient"](theta, X, states, multipliers),
        run["hessian_product"](theta, X, states, multipliers, p, tangents, adjoints),
        run["gauss_newton_product"](theta, X, states, p, newton),
    )
    return J, J, *map(_vector, vectors)


def _given(array, dtype):
    """Numbers that are exact, unless they are below the smallest normal one."""
    lost = np.where(abs(array) < np.finfo(dtype).tiny, abs(array), 0)
    return Uncertain(array, lost, dtype)


def _layers(problem, vector, dtype):
    """A flat vector as one tuple of arrays for each layer."""
    exact, theta, at = _given(vector, dtype), [], 0
    for shapes in problem.shapes:
        arrays = []
        for shape in shapes:
            end = at + int(np.prod(shape))
            part = exact[at:end]
            arrays.append(exact.like(part.value.reshape(shape), part.error.reshape(shape)))
            at = end
        theta.append(tuple(arrays))
    return tuple(theta)


def _vector(theta):
    """The arrays of all layers as one vector."""
    arrays = [array for layer in theta for array in layer]
    value, error = (
        np.concatenate([np.ravel(getattr(array, part)) for array in arrays])
        for part in ("value", "error")
    )
    return arrays[0].like(value, error)
