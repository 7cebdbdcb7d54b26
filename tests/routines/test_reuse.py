"""Memory that arrays share: never is an array read after another one was written over it."""

import pytest

from lagrangenet import chain
from lagrangenet.routines.passes.atomic import atomic
from lagrangenet.routines.passes.early import early
from lagrangenet.routines.passes.live import key
from lagrangenet.routines.passes.reuse import operands, reuse
from lagrangenet.routines.shapes import Shapes
from tests.compilers import program
from tests.problems import BANK, random_problem

PROBLEMS = [BANK["softmax-throughout"], BANK["mixed"], BANK["deep"], *map(random_problem, range(4))]


def plans(problem):
    for routine in program(problem).routines:
        steps = atomic(early(routine))
        yield steps, reuse(steps, Shapes(problem))


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_what_is_read_is_what_was_written_last(problem):
    for steps, memory in plans(problem):
        holder, named = {}, {}
        for line in steps.body:
            for array in operands(line):
                name = named.get(key(array), key(array))
                if name in memory:
                    assert holder[memory[name]] == name, (steps.name, line.formula)
            target = key(line.target)
            if target in memory:
                holder[memory[target]] = target
            elif line.target.axes:  # another name for what it reads
                named[target] = named.get(key(line.value), key(line.value))
        for name, layer in memory:
            if name in steps.returns:
                assert holder[memory[name, layer]] == (name, layer)


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_memory_has_the_shape_and_the_type_of_what_lies_in_it(problem):
    for steps, memory in plans(problem):
        shapes = Shapes(problem)
        reuse(steps, shapes)
        for line in steps.body:
            if key(line.target) in memory:
                found = memory[key(line.target)]
                shape = shapes.of(line.target)
                assert found.shape in {shape, (*shape, 1)}
                assert (found.kind == "bool") == (line.target.name == "mask")


def test_a_deep_network_needs_as_many_arrays_as_the_way_back_reads():
    """x^k of every layer, and one for what is in work; a Hessian product reads λ, μ, ż, ẋ besides."""
    depth = 12
    problem = chain([5] * (depth + 1), "tanh")
    pieces = {
        steps.name: len({m for m in memory.values() if m.result is None})
        for steps, memory in plans(problem)
    }
    assert pieces["value"] == 2
    assert pieces["value_and_grad"] == pieces["gauss_newton_product"] == depth + 1
    assert pieces["hessian_product"] <= 6 * depth
