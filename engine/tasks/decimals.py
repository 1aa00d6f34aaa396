"""Which numbers are equal: one fraction stands for a number and for its long decimals."""

from __future__ import annotations

from fractions import Fraction

_FINE = 1000
_PLACES = 6


def canonical(number: Fraction) -> Fraction:
    """The one fraction that stands for a number and for its long decimals, so that equal labels have equal keys.

    Whole numbers, fractions with a denominator up to 1,000 and short decimals stand for themselves. A decimal of k >= 4
    places stands for the fraction p/q with q^2 <= 10^k / 10 that it is cut or rounded from, if there is one: any two of
    those lie further apart than its last place, so there is no choice. The rest is rounded to six places.
    """
    if number.denominator <= _FINE:
        return number
    snapped = _snap(number)
    if snapped != number:
        return snapped
    size, places = abs(number), _PLACES
    while size < 1 and places < 300:
        size, places = size * 10, places + 1
    return _snap(round(number, places))


def _snap(decimal: Fraction) -> Fraction:
    places = _decimal_places(decimal)
    if places is None or places < 4:
        return decimal
    limit = min(_FINE, int((10**places // 10) ** 0.5)) if places < 20 else _FINE
    near = decimal.limit_denominator(limit)
    return near if near and abs(near - decimal) <= Fraction(1, 10**places) else decimal


def _decimal_places(number: Fraction) -> int | None:
    """How many decimal places it takes to write the number; None where it never ends."""
    rest, twos, fives = number.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    return max(twos, fives) if rest == 1 else None
