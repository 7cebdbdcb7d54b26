import numpy as np


def step(A, B, X, y, rho):
    ones = np.ones((len(X), 1))
    Z = np.hstack([X, ones]) @ A
    H = Z * (Z > 0)
    S = np.hstack([H, ones]) @ B
    S = S - S.max(axis=1, keepdims=True)
    P = np.exp(S) / np.exp(S).sum(axis=1, keepdims=True)
    T = np.eye(P.shape[1])[y[:, 0]]
    loss = -np.sum(T * np.log(np.where(T > 0, P, 1))) + rho / 2 * (np.sum(A[:-1] ** 2) + np.sum(B[:-1] ** 2))
    D = P - T
    E = D @ B[:-1].T
    dB = np.hstack([H, ones]).T @ D
    dA = np.hstack([X, ones]).T @ (E * (Z > 0))
    dA[:-1] += rho * A[:-1]
    dB[:-1] += rho * B[:-1]
    with np.errstate(divide="ignore"):
        on_output = np.where(T > 0, -T / P, 0.0)
    return loss, dA, dB, E, on_output
