"""Pooling over windows of width R. The position of a maximum is a constant almost everywhere."""

from lagrangenet.layers.base import LAYERS, Layer

average_pool1d = LAYERS.add(
    Layer(
        "average_pool1d",
        "y[i,c,t] = sum(x[i,c,stride*(t - 1) + r], r)/R",
        "x[M,C,L] y[M,C,T]",
        options={"R": 2, "stride": 2},
        sizes={"T": "floor((L - R)/stride) + 1"},
        ranges={"r": "R"},
        summary="means over windows of R",
    )
)

max_pool1d = LAYERS.add(
    Layer(
        "max_pool1d",
        """
        a[i,c,t] = argmax(x[i,c,stride*(t - 1) + r], r)
        y[i,c,t] = sum(x[i,c,stride*(t - 1) + r]*delta(r, a[i,c,t]), r)
        """,
        "x[M,C,L] a[M,C,T] y[M,C,T]",
        options={"R": 2, "stride": 2},
        sizes={"T": "floor((L - R)/stride) + 1"},
        ranges={"r": "R"},
        summary="maxima over windows of R; the first of several",
    )
)

average_pool2d = LAYERS.add(
    Layer(
        "average_pool2d",
        "y[i,c,t,u] = sum(x[i,c,stride*(t - 1) + r,stride*(u - 1) + s], r, s)/R**2",
        "x[M,C,H,B] y[M,C,T,U]",
        options={"R": 2, "stride": 2},
        sizes={"T": "floor((H - R)/stride) + 1", "U": "floor((B - R)/stride) + 1"},
        ranges={"r": "R", "s": "R"},
        summary="means over windows of R x R",
    )
)

max_pool2d = LAYERS.add(
    Layer(
        "max_pool2d",
        """
        h[i,c,k,u] = argmax(x[i,c,stride*(k - 1) + r,u], r)
        w[i,c,k,u] = sum(x[i,c,stride*(k - 1) + r,u]*delta(r, h[i,c,k,u]), r)
        a[i,c,k,t] = argmax(w[i,c,k,stride*(t - 1) + r], r)
        y[i,c,k,t] = sum(w[i,c,k,stride*(t - 1) + r]*delta(r, a[i,c,k,t]), r)
        """,
        "x[M,C,H,B] h[M,C,K,B] w[M,C,K,B] a[M,C,K,T] y[M,C,K,T]",
        options={"R": 2, "stride": 2},
        sizes={"K": "floor((H - R)/stride) + 1", "T": "floor((B - R)/stride) + 1"},
        ranges={"r": "R"},
        summary="maxima over windows of R x R, one axis after the other",
    )
)
