"""Honest probabilities: scores become certainties that are borne out by examples not seen in training."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]
Booleans = NDArray[np.bool_]

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

    def loss(temperature: float) -> float:
        return log_loss(calibrated(scores, temperature, doubt), targets)

    return min((float(value) for value in np.geomspace(*TEMPERATURES)), key=loss)


def log_loss(probabilities: Floats, targets: Integers) -> float:
    """How improbable the right labels are on average, in nats: 0 when each is certain.

    Args:
        probabilities: shape [examples, labels], none of them 0.
        targets: the column of each example's right label, shape [examples].
    """
    return -float(np.log(probabilities[np.arange(len(targets)), targets]).mean())


def calibration_error(stated: Floats, right: Booleans, bins: int = 8) -> float:
    """How far stated and actual certainty are apart: expected calibration error, 0 to 1, bins of equally many answers.

    Args:
        stated: the probability of each answer, shape [answers].
        right: whether it was right, shape [answers].
        bins: groups of answers of like certainty.
    """
    groups = np.array_split(np.argsort(stated, kind="stable"), min(bins, len(stated)))
    gaps = [len(group) * abs(stated[group].mean() - right[group].mean()) for group in groups]
    return float(sum(gaps) / len(stated))
