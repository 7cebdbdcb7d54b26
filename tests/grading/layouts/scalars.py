"""Reverse mode on scalars, in the way of small teaching engines: no arrays at all."""

import math


class Value:
    def __init__(self, data, parents=()):
        self.data, self.grad, self.parents = data, 0.0, parents

    def __add__(self, other):
        return Value(self.data + other.data, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other):
        return Value(self.data * other.data, ((self, other.data), (other, self.data)))

    def tanh(self):
        t = math.tanh(self.data)
        return Value(t, ((self, 1 - t * t),))

    def backward(self):
        order, seen = [], set()

        def visit(v):
            if id(v) not in seen:
                seen.add(id(v))
                for parent, _ in v.parents:
                    visit(parent)
                order.append(v)

        visit(self)
        self.grad = 1.0
        for v in reversed(order):
            for parent, slope in v.parents:
                parent.grad += slope * v.grad


class MLP:
    def __init__(self, sizes):
        self.sizes = sizes

    def load(self, W, b):
        self.W = [[[Value(w) for w in row] for row in layer] for layer in W]
        self.b = [[Value(v) for v in layer] for layer in b]

    def __call__(self, x):
        x = [Value(v) for v in x]
        for k, (W, b) in enumerate(zip(self.W, self.b)):
            z = [sum((w * v for w, v in zip(row, x)), start=bias) for row, bias in zip(W, b)]
            x = [v.tanh() for v in z] if k < len(self.W) - 1 else z
        return x

    def loss(self, X, Y):
        total = Value(0.0)
        for x, y in zip(X, Y):
            for out, label in zip(self(x), y):
                error = out + Value(-label)
                total = total + error * error
        total = total * Value(0.5 / len(X))
        total.backward()
        return total.data

    def gradient_of_weights(self):
        return [[[w.grad for w in row] for row in layer] for layer in self.W]

    def gradient_of_biases(self):
        return [[v.grad for v in layer] for layer in self.b]
