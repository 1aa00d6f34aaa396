"""Requests that were sent and whose end nobody saw, in the words that page and terminal share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from typing import Any

from engine.wording import counted


@dataclass(frozen=True)
class UnknownEnds:
    """How many requests they are, and US dollars that they cost at most: of all but those that are `unpriced`.

    `again`: those that were asked again under the same idempotency key and answered; a provider which honours it
    charges once for both.
    """

    requests: int = 0
    most: Decimal = Decimal(0)
    unpriced: int = 0
    again: int = 0

    def __str__(self) -> str:
        """One sentence; "" where there are none."""
        if not self.requests:
            return ""
        unpriced = f"the price of {self.unpriced:,} is unknown" if self.unpriced else ""
        again = f"{self.again:,} asked again since, under the same idempotency key" if self.again else ""
        return ", ".join(part for part in (self.brief, unpriced, again) if part)

    @property
    def brief(self) -> str:
        """How many and how much; "" where there are none."""
        if not self.requests:
            return ""
        priced = f", at most {_say_most(self.most)}" if self.unpriced < self.requests else ""
        return f"{counted(self.requests, 'request')} with an unknown end{priced}"


def _say_most(amount: Decimal) -> str:
    """US dollars, rounded up: to the cent, below a dollar to the hundredth of a cent."""
    return f"${amount.quantize(Decimal('0.01' if amount >= 1 else '0.0001'), ROUND_UP):,}"


def add_ends(rows: Sequence[Mapping[str, Any]]) -> UnknownEnds:
    """All of them together, by rows of `storage.intents.Intents.unknown_ends`."""
    return UnknownEnds(
        requests=sum(row["requests"] for row in rows),
        most=sum((row["most"] for row in rows), Decimal(0)),
        unpriced=sum(row["unpriced"] for row in rows),
        again=sum(row["again"] for row in rows),
    )
