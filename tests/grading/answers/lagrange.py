import numpy as np


def solve(theta, X, Y):
    """x from dL/dlam = 0, lam from dL/dx = 0, then dL/dW and dL/db"""
    M = X.shape[0]
    N = len(theta)
    xs, zs = [X], []
    for k, (W, b) in enumerate(theta):
        z = xs[-1] @ W.T + b
        zs.append(z)
        xs.append(np.tanh(z) if k < N - 1 else z)
    loss = np.sum((xs[-1] - Y) ** 2) / (2 * M)
    lam = [None] * N
    mu = [None] * N
    lam[N - 1] = (Y - xs[-1]) / M
    mu[N - 1] = lam[N - 1]
    for k in range(N - 2, -1, -1):
        W = theta[k + 1][0]
        lam[k] = mu[k + 1] @ W
        mu[k] = lam[k] * (1 - np.tanh(zs[k]) ** 2)
    grads = []
    for k in range(N):
        dW = -mu[k].T @ xs[k]
        db = -np.sum(mu[k], axis=0)
        grads.append((dW, db))
    return loss, lam, grads
