"""The Frechet distance in numpy."""
import numpy as np


def covariance(x):
    return np.atleast_2d(np.cov(x, rowvar=False))


def frechet(x, y):
    """By the definition, with a true square root of a matrix."""
    first, second = covariance(x), covariance(y)
    values, vectors = np.linalg.eigh(first)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    trace = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ second @ root), 0)).sum()
    apart = x.mean(0) - y.mean(0)
    return apart @ apart + np.trace(first) + np.trace(second) - 2 * trace
