"""Convolutions (as networks call cross-correlations), in one and two dimensions.

States are (M, channels, length) and (M, channels, height, breadth). Padding with zeros is a
constraint of its own, there only where it is asked for.
"""

from collections.abc import Mapping

from lagrangenet.layers.base import LAYERS, Layer


def _conv1d(options: Mapping[str, float]) -> str:
    if not options["pad"]:
        return "y[i,o,t] = sum(W[o,c,r]*x[i,c,stride*(t - 1) + r], c, r) + b[o]"
    return """
        e[i,c,s] = sum(x[i,c,t]*delta(s, t + pad), t)
        y[i,o,t] = sum(W[o,c,r]*e[i,c,stride*(t - 1) + r], c, r) + b[o]
        """


conv1d = LAYERS.add(
    Layer(
        "conv1d",
        _conv1d,
        "x[M,C,L] W[O,C,R] b[O] e[M,C,L+2*pad] y[M,O,T]",
        parameters="W b",
        options={"stride": 1, "pad": 0},
        sizes={"T": "floor((L + 2*pad - R)/stride) + 1"},
        summary="1-D convolution with stride and zero padding",
    )
)


def _conv2d(options: Mapping[str, float]) -> str:
    if not options["pad"]:
        return (
            "y[i,o,t,u] = sum(W[o,c,r,s]*x[i,c,stride*(t - 1) + r,stride*(u - 1) + s], c, r, s)"
            " + b[o]"
        )
    return """
        e[i,c,k,l] = sum(x[i,c,t,u]*delta(k, t + pad)*delta(l, u + pad), t, u)
        y[i,o,t,u] = sum(W[o,c,r,s]*e[i,c,stride*(t - 1) + r,stride*(u - 1) + s], c, r, s) + b[o]
        """


conv2d = LAYERS.add(
    Layer(
        "conv2d",
        _conv2d,
        "x[M,C,H,B] W[O,C,R,S] b[O] e[M,C,H+2*pad,B+2*pad] y[M,O,T,U]",
        parameters="W b",
        options={"stride": 1, "pad": 0},
        sizes={
            "T": "floor((H + 2*pad - R)/stride) + 1",
            "U": "floor((B + 2*pad - S)/stride) + 1",
        },
        summary="2-D convolution with stride and zero padding",
    )
)

transposed_conv1d = LAYERS.add(
    Layer(
        "transposed_conv1d",
        "y[i,o,s] = sum(W[c,o,r]*x[i,c,t]*delta(s, stride*(t - 1) + r), c, t, r) + b[o]",
        "x[M,C,L] W[C,O,R] b[O] y[M,O,stride*(L-1)+R]",
        parameters="W b",
        options={"stride": 1},
        summary="the adjoint of a 1-D convolution",
    )
)

transposed_conv2d = LAYERS.add(
    Layer(
        "transposed_conv2d",
        "y[i,o,k,l] = sum(W[c,o,r,s]*x[i,c,t,u]*delta(k, stride*(t - 1) + r)"
        "*delta(l, stride*(u - 1) + s), c, t, u, r, s) + b[o]",
        "x[M,C,H,B] W[C,O,R,S] b[O] y[M,O,stride*(H-1)+R,stride*(B-1)+S]",
        parameters="W b",
        options={"stride": 1},
        summary="the adjoint of a 2-D convolution",
    )
)
