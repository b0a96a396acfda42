"""Figures of several rounds, in words."""

import statistics
from collections.abc import Sequence


def spread(values: Sequence[float], form: str) -> str:
    """Median and range."""
    if len(values) < 2:
        return middle(values, form)
    return f"{middle(values, form)} [{min(values):{form}}-{max(values):{form}}]"


def middle(values: Sequence[float], form: str) -> str:
    """The median; nothing of nothing."""
    return f"{statistics.median(values):{form}}" if values else ""
