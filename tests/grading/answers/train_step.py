import numpy as np


def train_step(W, b, X, Y, eta):
    M = len(X)
    h = 1 / (1 + np.exp(-(X @ W[0].T + b[0])))
    out = h @ W[1].T + b[1]
    d2 = (out - Y) / M
    d1 = (d2 @ W[1]) * h * (1 - h)
    W_new = [W[0] - eta * d1.T @ X, W[1] - eta * d2.T @ h]
    b_new = [b[0] - eta * d1.sum(axis=0), b[1] - eta * d2.sum(axis=0)]
    return W_new, b_new
