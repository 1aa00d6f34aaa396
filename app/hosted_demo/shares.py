"""What visitors together, one address and one copy may take, so that nobody takes what is there for all.

An address that has taken nothing yet is served where others have used up what there is, up to twice as much; where all
copies are taken, the address with the most of them gives one up.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from engine.errors import Forbidden

_MINUTE_S = 60.0


@dataclass(frozen=True)
class Quotas:
    """What visitors together, one address and one copy may take. Times in seconds."""

    copies: int = 40
    copies_each: int = 10
    lifetime_s: float = 3 * 3600.0
    idle_s: float = 3600.0
    may_go_s: float = 300.0
    runs: int = 3
    waiting: int = 5
    waiting_each: int = 2
    copies_a_minute: int = 10
    copies_a_minute_each: int = 3
    queries_a_minute_each: int = 20


@dataclass
class Rates:
    """What addresses did within the last minute."""

    clock: Callable[[], float]
    _recent: dict[str, deque[tuple[float, str]]] = field(default_factory=dict)

    def take(self, what: str, address: str, each: int, together: int | None = None) -> None:
        """An address does something once more.

        Raises:
            Forbidden: if it did so too often; or if all together did, and it was among them.
        """
        recent, now = self._recent.setdefault(what, deque()), self.clock()
        while recent and now - recent[0][0] >= _MINUTE_S:
            recent.popleft()
        own = sum(other == address for _, other in recent)
        if own >= each:
            raise Forbidden(f"Within a minute {own} {what} came from your address; try again in a minute.")
        if together is not None and not has_a_share(len(recent), own, together):
            raise Forbidden(f"Many {what} are being made at this moment; try again in a minute.")
        recent.append((now, address))


def has_a_share(taken: int, own: int, together: int) -> bool:
    """Whether there is something left for an address that took `own` of what is taken."""
    return taken < (together if own else 2 * together)


def gives_way(origin: Mapping[str, str], used: Mapping[str, float], newcomer: str) -> list[str]:
    """The copies of the address with the most of them, the one used longest ago first; none if that is a fair share.

    `origin` and `used` are by copy.
    """
    shares = Counter(origin.values())
    if not shares:
        return []
    address, most = max(shares.items(), key=lambda item: item[1])
    if most <= shares[newcomer] + 1:
        return []
    return sorted((name for name, other in origin.items() if other == address), key=lambda name: used[name])
