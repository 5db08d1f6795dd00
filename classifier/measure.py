"""Precision, recall, F1 and calibration of tags."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def prf(truth: NDArray[np.bool_], given: NDArray[np.bool_], names: Sequence[str]) -> dict[str, Any]:
    """Precision, recall, F1 and support per column and, under "micro", over all of them."""
    columns = {name: _row(truth[:, place], given[:, place]) for place, name in enumerate(names)}
    return {**columns, "micro": _row(truth.ravel(), given.ravel())}


def _row(truth: NDArray[np.bool_], given: NDArray[np.bool_]) -> dict[str, float]:
    hits, said, support = int((truth & given).sum()), int(given.sum()), int(truth.sum())
    return {
        "precision": hits / said if said else 0.0,
        "recall": hits / support if support else 0.0,
        "f1": 2 * hits / (said + support) if said + support else 0.0,
        "support": support,
    }


def calibration_error(truth: NDArray[np.bool_], probabilities: NDArray[np.float64], bins: int = 10) -> float:
    """Expected calibration error: mean distance between what was said and what was so, over equal-width bins."""
    truth, probabilities = truth.ravel(), probabilities.ravel()
    if not len(truth):
        return 0.0
    place = np.minimum((probabilities * bins).astype(int), bins - 1)
    weights = np.bincount(place, minlength=bins)
    said = np.bincount(place, weights=probabilities, minlength=bins)
    so = np.bincount(place, weights=truth.astype(float), minlength=bins)
    return float(np.abs(said - so).sum() / weights.sum())
