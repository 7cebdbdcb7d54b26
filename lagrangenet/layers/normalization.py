"""Normalizations, lifted: mean, variance and scale are states with constraints of their own."""

from lagrangenet.layers.base import LAYERS, Layer

layer_norm = LAYERS.add(
    Layer(
        "layer_norm",
        """
        m[i,...]   = sum(x[i,...,q], q)/n
        d[i,...,p] = x[i,...,p] - m[i,...]
        v[i,...]   = sum(d[i,...,q]**2, q)/n
        s[i,...]   = 1/sqrt(v[i,...] + eps)
        y[i,...,p] = g[p]*d[i,...,p]*s[i,...] + b[p]
        """,
        "x[M,...,n] g[n] b[n] m[M,...] d[M,...,n] v[M,...] s[M,...] y[M,...,n]",
        parameters="g b",
        options={"eps": 1e-5},
        summary="g (x - mean)/sqrt(variance + eps) + b",
    )
)

rms_norm = LAYERS.add(
    Layer(
        "rms_norm",
        """
        v[i,...]   = sum(x[i,...,q]**2, q)/n
        s[i,...]   = 1/sqrt(v[i,...] + eps)
        y[i,...,p] = g[p]*x[i,...,p]*s[i,...]
        """,
        "x[M,...,n] g[n] v[M,...] s[M,...] y[M,...,n]",
        parameters="g",
        options={"eps": 1e-5},
        summary="g x/sqrt(mean square + eps)",
    )
)

softmax = LAYERS.add(
    Layer(
        "softmax",
        """
        c[i,...]   = max(x[i,...,q], q)
        e[i,...,p] = exp(x[i,...,p] - c[i,...])
        s[i,...]   = sum(e[i,...,q], q)
        y[i,...,p] = e[i,...,p]/s[i,...]
        """,
        "x[M,...,n] c[M,...] e[M,...,n] s[M,...] y[M,...,n]",
        constants="c",
        summary="softmax with its exponentials and their sum as states",
    )
)

log_sum_exp = LAYERS.add(
    Layer(
        "log_sum_exp",
        """
        c[i,...]   = max(x[i,...,q], q)
        e[i,...,p] = exp(x[i,...,p] - c[i,...])
        s[i,...]   = sum(e[i,...,q], q)
        y[i,...,p] = c[i,...] + log(s[i,...])
        """,
        "x[M,...,n] c[M,...] e[M,...,n] s[M,...] y[M,...,1]",
        constants="c",
        summary="log sum exp(x), one component",
    )
)
