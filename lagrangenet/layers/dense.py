"""Affine maps, with and without bias and activation, and the activation alone."""

from lagrangenet.layers.base import LAYERS, Layer

dense = LAYERS.add(
    Layer(
        "dense",
        "z[i,...,p] = sum(W[p,q]*x[i,...,q], q) + b[p];  y[i,...,p] = sigma(z[i,...,p])",
        "x[M,...,n] W[m,n] b[m] z[M,...,m] y[M,...,m]",
        parameters="W b",
        summary="sigma(W x + b)",
    )
)

dense_nobias = LAYERS.add(
    Layer(
        "dense_nobias",
        "z[i,...,p] = sum(W[p,q]*x[i,...,q], q);  y[i,...,p] = sigma(z[i,...,p])",
        "x[M,...,n] W[m,n] z[M,...,m] y[M,...,m]",
        parameters="W",
        summary="sigma(W x)",
    )
)

affine = LAYERS.add(
    Layer(
        "affine",
        "y[i,...,p] = sum(W[p,q]*x[i,...,q], q) + b[p]",
        "x[M,...,n] W[m,n] b[m] y[M,...,m]",
        parameters="W b",
        summary="W x + b",
    )
)

#: The decoder of an autoencoder whose weights are those of its encoder, transposed.
transposed_dense = LAYERS.add(
    Layer(
        "transposed_dense",
        "z[i,...,q] = sum(W[p,q]*x[i,...,p], p) + b[q];  y[i,...,q] = sigma(z[i,...,q])",
        "x[M,...,n] W[n,m] b[m] z[M,...,m] y[M,...,m]",
        parameters="W b",
        summary="sigma(W^T x + b), for tied weights",
    )
)

activation = LAYERS.add(
    Layer(
        "activation", "y[i,...,p] = sigma(x[i,...,p])", "x[M,...,n] y[M,...,n]", summary="sigma(x)"
    )
)
