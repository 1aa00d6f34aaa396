"""Numbers as a person reads them: money, ranges, large counts. Ranges have one unit."""

from __future__ import annotations

from decimal import Decimal

_MINUTE, _HOUR = 60, 3600


def say_money(amount: Decimal | float) -> str:
    """US dollars: to the cent, below a dollar to the hundredth of a cent, nothing as $0.00."""
    return f"${amount:,.2f}" if amount == 0 or amount >= 1 else f"${amount:.4f}"


def money_range(low: Decimal | None, high: Decimal | None) -> str:
    """From an amount to another in US dollars; None: not known."""
    if low is None or high is None:
        return "unknown"
    if high == 0 or low == high:
        return say_money(high)
    places = 2 if high >= Decimal("0.1") else 3 if high >= Decimal("0.01") else 4
    return f"${low:,.{places}f}-{high:,.{places}f}"


def count_range(low: int, high: int) -> str:
    """From a count to another, in thousands or millions where they are large."""
    unit, size = next(((u, s) for u, s in (("M", 1_000_000), ("k", 10_000)) if high >= s), ("", 1))
    size = {"M": 1_000_000, "k": 1_000, "": 1}[unit]
    small, large = (f"{n / size:,.1f}" if unit else f"{n:,}" for n in (low, high))
    said = small if small == large else f"{small}-{large}"
    return f"{said} {unit}".strip()


def span_range(low: float, high: float) -> str:
    """From a span of seconds to another."""
    unit, size = next(
        ((u, s) for u, s, most in (("s", 1, 90), ("min", _MINUTE, 90 * _MINUTE)) if high < most), ("h", _HOUR)
    )
    small, large = (f"{n / size:.1f}" if unit == "h" else f"{n / size:.0f}" for n in (low, high))
    return f"{small} {unit}" if small == large else f"{small}-{large} {unit}"
