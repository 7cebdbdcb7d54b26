"""Layers that join, scale and reshape states: residual addition, concatenation, gates."""

from lagrangenet.layers.base import LAYERS, Layer

add = LAYERS.add(
    Layer(
        "add",
        "y[i,...,p] = x[i,...,p] + u[i,...,p]",
        "x[M,...,n] u[M,...,n] y[M,...,n]",
        summary="x + u: a residual or skip connection",
    )
)

multiply = LAYERS.add(
    Layer(
        "multiply",
        "y[i,...,p] = x[i,...,p]*u[i,...,p]",
        "x[M,...,n] u[M,...,n] y[M,...,n]",
        summary="x u: a gate",
    )
)

concatenate = LAYERS.add(
    Layer(
        "concatenate",
        "y[i,...,p] = sum(x[i,...,q]*delta(p, q), q) + sum(u[i,...,r]*delta(p, n + r), r)",
        "x[M,...,n] u[M,...,m] y[M,...,n+m]",
        summary="(x, u): the components of x, then those of u",
    )
)

scale_shift = LAYERS.add(
    Layer(
        "scale_shift",
        "y[i,...,p] = g[p]*x[i,...,p] + b[p]",
        "x[M,...,n] g[n] b[n] y[M,...,n]",
        parameters="g b",
        summary="g x + b, componentwise",
    )
)

bilinear = LAYERS.add(
    Layer(
        "bilinear",
        "y[i,p] = sum(W[p,q,r]*x[i,q]*u[i,r], q, r)",
        "x[M,n] u[M,k] W[m,n,k] y[M,m]",
        parameters="W",
        summary="x^T W u",
    )
)

flatten = LAYERS.add(
    Layer(
        "flatten",
        "y[i,p] = sum(x[i,c,t]*delta(p, L*(c - 1) + t), c, t)",
        "x[M,C,L] y[M,C*L]",
        summary="a state with two axes as a vector, row after row",
    )
)

flatten2d = LAYERS.add(
    Layer(
        "flatten2d",
        "y[i,p] = sum(x[i,c,t,v]*delta(p, H*B*(c - 1) + B*(t - 1) + v), c, t, v)",
        "x[M,C,H,B] y[M,C*H*B]",
        summary="a state with three axes as a vector, row after row",
    )
)
