"""Sequences (M, T, n): embedding, attention, recurrence."""

from lagrangenet.layers.base import LAYERS, Layer

embedding = LAYERS.add(
    Layer(
        "embedding",
        "y[i,t,p] = E[x[i,t],p]",
        "x[M,T] E[V,m] y[M,T,m]",
        parameters="E",
        integers="x",
        summary="row x of a table E, for every token x = 1..V (0..V-1 in data)",
    )
)

attention = LAYERS.add(
    Layer(
        "attention",
        """
        q[i,t,h,d] = sum(Wq[h,d,p]*x[i,t,p], p)
        k[i,t,h,d] = sum(Wk[h,d,p]*x[i,t,p], p)
        v[i,t,h,d] = sum(Wv[h,d,p]*x[i,t,p], p)
        s[i,h,t,u] = sum(q[i,t,h,d]*k[i,u,h,d], d)/sqrt(D)
        c[i,h,t]   = max(s[i,h,t,u], u)
        e[i,h,t,u] = exp(s[i,h,t,u] - c[i,h,t])
        z[i,h,t]   = sum(e[i,h,t,u], u)
        w[i,h,t,u] = e[i,h,t,u]/z[i,h,t]
        a[i,t,h,d] = sum(w[i,h,t,u]*v[i,u,h,d], u)
        y[i,t,p]   = sum(Wo[p,h,d]*a[i,t,h,d], h, d)
        """,
        "x[M,T,n] Wq[H,D,n] Wk[H,D,n] Wv[H,D,n] Wo[m,H,D] q[M,T,H,D] k[M,T,H,D] v[M,T,H,D] "
        "s[M,H,T,T] c[M,H,T] e[M,H,T,T] z[M,H,T] w[M,H,T,T] a[M,T,H,D] y[M,T,m]",
        parameters="Wq Wk Wv Wo",
        constants="c",
        summary="multi-head dot-product self-attention, H heads of D",
    )
)

recurrent = LAYERS.add(
    Layer(
        "recurrent",
        """
        z[i,t,p] = sum(W[p,q]*x[i,t,q], q) + sum(U[p,r]*h[i,t - 1,r], r) + b[p]
        h[i,t,p] = sigma(z[i,t,p])
        y[i,t,p] = h[i,t,p]
        """,
        "x[M,T,n] W[m,n] U[m,m] b[m] z[M,T,m] h[M,0..T,m] y[M,T,m]",
        parameters="W U b",
        summary="h_t = sigma(W x_t + U h_{t-1} + b) with h_0 = 0, for t = 1..T",
    )
)

last = LAYERS.add(
    Layer("last", "y[i,p] = x[i,T,p]", "x[M,T,n] y[M,n]", summary="the last of a sequence")
)

mean_over_time = LAYERS.add(
    Layer(
        "mean_over_time",
        "y[i,p] = sum(x[i,t,p], t)/T",
        "x[M,T,n] y[M,n]",
        summary="the mean of a sequence",
    )
)
