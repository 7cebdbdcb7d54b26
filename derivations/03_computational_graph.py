# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The computational graph, worked through with numbers
#
# **The question.** A formula is a graph: each node computes a value from others. What are the
# numbers that a forward pass and a backward pass write at the nodes, and why do contributions *add*
# where a value is used twice?
#
# ## The graph
#
# Three inputs, $a$, $b$, $c$; sums and products; one value is used twice.

# %%
import sympy as sp

from derivations.document import equation, table

a, b, c, u, v, w = sp.symbols("a b c u v w", real=True)
nodes = {u: a * b, v: u + c, w: u * v}  # in an order in which every node can be computed
output = w
inputs = {a: 2, b: 3, c: -1}

for node, formula in nodes.items():
    equation(node, formula)

# %% [markdown]
# ## Forward: values
#
# Each node in turn, from numbers that are already known.

# %%
values = {symbol: sp.Integer(number) for symbol, number in inputs.items()}
for node, formula in nodes.items():
    values[node] = formula.subs(values)
    equation(node, formula, values[node])

# %% [markdown]
# ## Each node is a constraint
#
# Now the same as a constrained problem. The nodes are *variables*, and the formulas are constraints
# that they have to satisfy, each with a multiplier. The Lagrangian is the output plus the sum of
# multiplier times residual:

# %%
multipliers = {node: sp.Symbol(f"lambda_{node}", real=True) for node in nodes}
L = output + sum(multipliers[node] * (node - formula) for node, formula in nodes.items())
terms = [output] + [multipliers[e] * (e - formula) for e, formula in nodes.items()]
equation("L", " + ".join(sp.latex(term) for term in terms))

# %% [markdown]
# A stationary point: the derivative of $L$ by each node is zero. SymPy differentiates:

# %%
conditions = {node: sp.diff(L, node) for node in nodes}
for node, condition in conditions.items():
    equation(rf"\frac{{\partial L}}{{\partial {node}}}", condition, "0")

# %% [markdown]
# Look at $u$. Its multiplier stands alone, from the node's own constraint; and there is one term for
# *each* node that reads $u$. They add because the Lagrangian is a sum. That is the whole reason.
#
# ## Backward: multipliers
#
# Each condition contains one multiplier whose coefficient is one, and otherwise multipliers of later
# nodes. So they are solved in the reverse order, last node first:

# %%
solution = {}
for node in reversed(list(nodes)):
    formula = sp.solve(conditions[node], multipliers[node])[0]
    solution[multipliers[node]] = formula.subs(solution).subs(values)
    equation(multipliers[node], formula, solution[multipliers[node]])

# %% [markdown]
# Minus a multiplier is the derivative of the output by that node, $\partial w / \partial u = 11$ for
# example: what back-propagation writes at the nodes. Nothing is solved for at the inputs; there the
# derivative of $L$ *is* the derivative of the output:

# %%
gradient = {}
for symbol in inputs:
    formula = sp.diff(L, symbol)
    gradient[symbol] = formula.subs(solution).subs(values)
    equation(rf"\frac{{\partial L}}{{\partial {symbol}}}", formula, gradient[symbol])

# %% [markdown]
# Check: eliminate the nodes, so that $w$ is a formula in the inputs, and differentiate that.

# %%
eliminated = output
for node, formula in reversed(nodes.items()):
    eliminated = eliminated.subs(node, formula)
equation("w", sp.expand(eliminated))
for symbol in inputs:
    print(f"∂w/∂{symbol}  difference:", sp.diff(eliminated, symbol).subs(inputs) - gradient[symbol])

# %% [markdown]
# ## The sum over all paths
#
# The same numbers another way. Write the derivative of each node by each of its arguments at the
# *edge* between them. The derivative of the output by any node is the sum, over all paths from that
# node to the output, of the products of the edges.

# %%
edges = {
    (argument, node): sp.diff(formula, argument)
    for node, formula in nodes.items()
    for argument in sorted(formula.free_symbols, key=str)
}
table(
    ("Edge", "Derivative", "Number"),
    *(
        (rf"${start} \to {end}$", f"${sp.latex(slope)}$", f"${slope.subs(values)}$")
        for (start, end), slope in edges.items()
    ),
)


# %%
def paths(start, end):
    """All paths through the graph, as lists of edges."""
    if start == end:
        return [[]]
    first = [edge for edge in edges if edge[0] == start]
    return [[edge, *rest] for edge in first for rest in paths(edge[1], end)]


rows = []
for symbol in (*inputs, *nodes):
    found = paths(symbol, output)
    products = [sp.Mul(*(edges[edge].subs(values) for edge in path)) for path in found]
    assert sum(products) == gradient.get(symbol, -solution.get(multipliers.get(symbol), 0))
    routes = (r" \to ".join([str(symbol), *(str(end) for _, end in path)]) for path in found)
    rows.append((
        f"${symbol}$", ", ".join(f"${route}$" for route in routes),
        f"${' + '.join(map(str, products))}$", f"${sum(products)}$",
    ))  # fmt: skip
table(("Node", "Paths to $w$", "Products", "Sum"), *rows)

# %% [markdown]
# Two paths lead from $u$ to $w$, one directly and one through $v$. In a deep network the number of
# paths grows exponentially with depth. The backward pass never lists them: each multiplier collects
# what comes from all later nodes *once*, and passes it on.
#
# ## What a multiplier means
#
# A multiplier is a price. Disturb one node: let $u = ab + \varepsilon$ instead of $ab$, and let
# every later node be computed from that. The output changes at the rate $-\lambda_u$. SymPy, with a
# symbol for the disturbance:

# %%
epsilon = sp.Symbol("varepsilon", real=True)
for disturbed in nodes:
    state = dict(inputs)
    for node, formula in nodes.items():
        state[node] = formula.subs(state) + (epsilon if node == disturbed else 0)
    rate = sp.diff(state[output], epsilon).subs(epsilon, 0)
    print(f"node {disturbed}: rate {rate}, difference:", rate + solution[multipliers[disturbed]])

# %% [markdown]
# A layer of a network is such a node, with vectors for numbers and matrices for products. Nothing
# else changes.
