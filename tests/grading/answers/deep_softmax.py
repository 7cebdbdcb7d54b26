import numpy as np

RHO = 0.1


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def forward(theta, X):
    states = []
    x = X
    for k, (W, b) in enumerate(theta):
        z = x @ W.T + b
        x = np.tanh(z) if k < len(theta) - 1 else softmax(z)
        states.append(x)
    return states


def cost(theta, X, Y):
    x = forward(theta, X)[-1]
    J = -np.mean(np.sum(Y * np.log(x), axis=1))
    for W, b in theta:
        J += RHO / 2 * np.sum(W ** 2)
    return J


def gradients(theta, X, Y):
    M = len(X)
    xs = [X] + forward(theta, X)
    N = len(theta)
    grads = [None] * N
    delta = (xs[N] - Y) / M
    for k in range(N - 1, -1, -1):
        W, b = theta[k]
        dW = delta.T @ xs[k] + RHO * W
        db = delta.sum(axis=0)
        grads[k] = (dW, db)
        if k > 0:
            delta = (delta @ W) * (1 - xs[k] ** 2)
    return grads
