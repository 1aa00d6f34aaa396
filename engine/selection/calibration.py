"""How far confidences are the chances that they look like, and one temperature that brings them nearer.

Pure functions on arrays, for reports only: nothing that labels or selects has a gold label to call them with. Shapes: N
samples, B bins.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

COLDEST, HOTTEST = 0.05, 20.0
"""The range of a temperature."""
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

BINS = 10
"""Bins of equal width from 0 to 1 that a calibration error is computed in."""
LEAST_GOLDS = 50
"""Queries with a gold label from which on a temperature may be fitted."""
_HALVINGS = 40
_CERTAIN = 1e-3
"""Confidences nearer to 0 or 1 are taken to be so near when a temperature is fitted: one miss must not be all."""


class Calibration(NamedTuple):
    """Expected calibration error, None where nothing is known, over `n` samples, and its bins, each of shape (B,).

    `confidence` and `right` are means of a bin, NaN where it is empty.
    """

    error: float | None
    n: int
    size: Ints
    confidence: Floats
    right: Floats


def measure_calibration(confidence: Floats, right: Bools, bins: int = BINS) -> Calibration:
    """Mean distance between a bin's mean confidence and its share of right labels, weighted by size.

    Guo et al. 2017, equation 3. A confidence on a border belongs to the upper bin, 1 to the last. Samples without a
    confidence (NaN) are left out.
    """
    known = ~np.isnan(confidence)
    value, truth = confidence[known], right[known].astype(np.float64)
    place = np.clip(np.floor(value * bins + 1e-9).astype(np.int64), 0, bins - 1)
    size = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(place, value, bins) / size
        share = np.bincount(place, truth, bins) / size
    n = int(size.sum())
    error = float(np.nansum(np.abs(mean - share) * size) / n) if n else None
    return Calibration(error, n, size, mean, share)


def temper(confidence: Floats, temperature: float) -> Floats:
    """Confidences with their log-odds divided by a temperature: above 1 they move towards one half.

    Monotone, so ranks stay; what passes a threshold does not. 0, 1 and NaN stay as they are.
    """
    if temperature == 1:
        return confidence
    yes, no = confidence ** (1 / temperature), (1 - confidence) ** (1 / temperature)
    return np.asarray(yes / (yes + no), dtype=np.float64)


def fit_temperature(confidence: Floats, right: Bools) -> float:
    """The temperature of the greatest likelihood (Guo et al. 2017, section 4.2), from `COLDEST` to `HOTTEST`.

    Samples without a confidence are left out; where none is left, or all are one half, it is 1.
    """
    known = ~np.isnan(confidence)
    value, truth = np.clip(confidence[known], _CERTAIN, 1 - _CERTAIN), right[known]
    signed = np.where(truth, 1.0, -1.0) * np.log(value / (1 - value))
    if not signed.any():
        return 1.0
    # The loss is convex in the slope 1/T, so its derivative has one root: halving finds it to 1e-12 of the range.
    low, high = 1 / HOTTEST, 1 / COLDEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        rising = float((signed / (1 + np.exp(middle * signed))).sum()) < 0
        low, high = (low, middle) if rising else (middle, high)
    return 2 / (low + high)
