"""Honest probabilities: scores become certainties that are borne out by examples not seen in training."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]

TEMPERATURES = (0.25, 8.0, 80)  # from, to, steps of the search


def calibrated(scores: Floats, temperature: float, doubt: float) -> Floats:
    """Probabilities, each row adding up to 1.

    Args:
        scores: log-probabilities, shape [examples, labels].
        temperature: the factor on the scores; above 1 the answers become surer.
        doubt: the share of each row, 0 to 1, that is spread evenly over the labels.

    Returns:
        Shape [examples, labels].
    """
    logits = scores * temperature
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    certain: Floats = odds / odds.sum(axis=1, keepdims=True)
    honest: Floats = certain * (1 - doubt) + doubt / scores.shape[1]
    return honest


def best_temperature(scores: Floats, targets: Integers, doubt: float) -> float:
    """The factor on the scores under which the right labels are most probable (log loss).

    Args:
        scores: of examples not seen in training, shape [examples, labels].
        targets: the column of each example's right label, shape [examples].
        doubt: as `calibrated`.
    """
    rows = np.arange(len(targets))

    def loss(temperature: float) -> float:
        return -float(np.log(calibrated(scores, temperature, doubt)[rows, targets]).mean())

    return min((float(value) for value in np.geomspace(*TEMPERATURES)), key=loss)


def calibration_error(probabilities: Floats, targets: Integers, bins: int = 8) -> float:
    """How far stated and actual certainty are apart: expected calibration error, 0 to 1, equal bins.

    Args:
        probabilities: shape [examples, labels].
        targets: the column of each example's right label, shape [examples].
        bins: groups of examples of like certainty.
    """
    stated, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    groups = np.array_split(np.argsort(stated), min(bins, len(targets)))
    gaps = [len(group) * abs(stated[group].mean() - right[group].mean()) for group in groups]
    return float(sum(gaps) / len(targets))
