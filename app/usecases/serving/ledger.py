"""The ledger of a gateway: what its attempts at teachers came to, and those whose end nobody knows.

Each attempt that may cost something is announced by a line with `sent` before it goes out, and ended by one with the
same `intent`. What is announced and never ended was in flight when the gateway was killed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NamedTuple

from app.usecases.serving.folder import LEDGER, Follower, journal_files, read_about
from app.usecases.workspace.unknown_ends import UnknownEnds
from engine.jobs.folder_lock import find_worker


class Sent(NamedTuple):
    """An attempt that was announced: when (seconds since 1970), for what, and US dollars at most (None: unknown)."""

    at: float
    purpose: str
    most: Decimal | None


@dataclass
class _Attempts:
    """What one file holds: US dollars by purpose, attempts that it announces and does not end, and the reverse."""

    spent: dict[str, Decimal] = field(default_factory=dict)
    open: dict[str, Sent] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)


def _take(attempts: _Attempts, record: dict[str, Any] | None, end: int) -> None:
    if record is None:
        return
    purpose = str(record.get("purpose", ""))
    if sent := record.get("sent"):
        at, worst = record.get("at"), record.get("worst")
        most = None if worst is None else _read_amount(worst)
        attempts.open[str(sent)] = Sent(float(at) if isinstance(at, (int, float)) else 0.0, purpose, most)
        return
    if (intent := str(record.get("intent") or "")) and attempts.open.pop(intent, None) is None:
        attempts.ended.add(intent)
    amount = record.get("cost") if record.get("cost") is not None else record.get("bound")
    attempts.spent[purpose] = attempts.spent.get(purpose, Decimal(0)) + _read_amount(amount)


def _read_amount(amount: object) -> Decimal:
    try:
        value = Decimal(str(amount or 0))
    except InvalidOperation:
        return Decimal(0)
    return value if value.is_finite() and value > 0 else Decimal(0)


_FILES = Follower(_Attempts, _take)


@dataclass(frozen=True)
class GatewayLedger:
    """All of a ledger: US dollars by purpose, where what is unknown counts as its bound, and attempts without an end.

    Those are in flight, or their gateway was killed.
    """

    spent: dict[str, Decimal]
    open: list[Sent]

    @property
    def bounds(self) -> dict[str, Decimal]:
        """US dollars by purpose that it comes to at most, attempts without an end included."""
        whole = dict(self.spent)
        for sent in self.open:
            whole[sent.purpose] = whole.get(sent.purpose, Decimal(0)) + (sent.most or Decimal(0))
        return whole


def read_ledger(folder: Path) -> GatewayLedger:
    """The ledger of a gateway's folder; each line is read once, however often somebody looks."""
    spent: dict[str, Decimal] = {}
    open_: dict[str, Sent] = {}
    ended: set[str] = set()
    with _FILES.lock:
        for path in journal_files(folder, LEDGER):
            attempts = _FILES.look(path)
            if attempts is None:  # it has just been renamed
                continue
            open_ |= attempts.open
            ended |= attempts.ended
            for purpose, amount in attempts.spent.items():
                spent[purpose] = spent.get(purpose, Decimal(0)) + amount
    return GatewayLedger(spent, [sent for intent, sent in open_.items() if intent not in ended])


def count_ends(sent: Iterable[Sent]) -> UnknownEnds:
    """How many attempts without an end there are, and what they cost at most."""
    known = list(sent)
    most = sum((one.most for one in known if one.most is not None), Decimal(0))
    return UnknownEnds(len(known), most, sum(one.most is None for one in known))


def find_unknown_ends(folder: Path) -> UnknownEnds:
    """Requests of a gateway that a kill cut off; what a running one has in flight is none of them."""
    intents = read_ledger(folder).open
    if intents and find_worker(folder) is not None:
        started = read_about(folder).get("started")
        intents = [one for one in intents if isinstance(started, (int, float)) and one.at < started]
    return count_ends(intents)
