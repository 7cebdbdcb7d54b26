import numpy as np


def split(theta, widths):
    n, h, m = widths
    sizes = [h * n, h, m * h, m]
    a, b, c, d = np.split(theta, np.cumsum(sizes)[:-1])
    return a.reshape(h, n), b[:, None], c.reshape(m, h), d[:, None]


def states_of(theta, widths, X):
    A, a, B, b = split(theta, widths)
    H = np.tanh(A @ X + a)
    S = B @ H + b
    E = np.exp(S - S.max(axis=0))
    return H, E / E.sum(axis=0)


def slope(theta, widths, X, y):
    A, a, B, b = split(theta, widths)
    H, P = states_of(theta, widths, X)
    S = B @ H + b
    top = S.max(axis=0)
    logs = S - top - np.log(np.exp(S - top).sum(axis=0))
    M = X.shape[1]
    loss = -2 * logs[y - 1, np.arange(M)].mean()
    D = P.copy()
    D[y - 1, np.arange(M)] -= 1
    D *= 2 / M
    G = (B.T @ D) * (1 - H**2)
    return loss, np.concatenate([(G @ X.T).ravel(), G.sum(axis=1), (D @ H.T).ravel(), D.sum(axis=1)])
