"""The meter of a gateway: what it answered, by whom, what that took, and what it saved against the last rung alone.

Reads the journal `meter`, which the gateway appends to, and needs neither the store nor the gateway.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from app.usecases.serving.folder import ABOUT, METER, Follower, Stamp, journal_files, read_about, read_stamp
from app.usecases.serving.ledger import find_unknown_ends
from app.usecases.workspace.unknown_ends import UnknownEnds
from engine.errors import NotFound
from engine.serving.drift import ALPHA, TOLERANCE, Drift, DriftState

ENOUGH = 30
"""So many shadowed queries say what the last rung takes; with fewer, the policy's held-out queries do."""
_Terms = tuple[float | None, float, float]
_Z = 1.959964
"""Of a two-sided interval of 95%."""


@dataclass(frozen=True)
class Saved:
    """What a request saved in the mean, with its 95% interval over requests, and in total over `n` of them.

    `source`: where the last rung's own consumption is from: shadowed queries, or the policy's held-out ones.
    """

    mean: float
    low: float
    high: float
    total: float
    n: int
    source: Literal["shadows", "policy"]


@dataclass(frozen=True)
class Meter:
    """What one policy came to behind a gateway so far.

    Attributes:
        since, until: seconds since 1970 of its first and its last request; None where there was none.
        requests: of callers, without those that can't be served.
        by_rung: requests that each rung answered.
        forced: of them, those that named their rung.
        fallbacks: of them, those that a student answered since the rungs behind it failed.
        errors: requests without an answer, by reason.
        refused: requests that were turned away for load, which `requests` does not count.
        read, written: tokens of all rungs that were asked, by rung.
        dollars: what providers billed for answers; None: some of it is not known.
        shadows, shadow_dollars: queries that were sent to the last rung besides, and what that cost.
        p50_s, p95_s: seconds to an answer.
        tokens_saved, dollars_saved: output tokens, providers' US dollars; None where nothing is there to compare with.
        drift: agreement of students with the last rung, on shadowed queries.
        damaged: lines that could not be read.
        earlier: requests under other policies of the same gateway.
        cut_off: requests to teachers whose end nobody knows, since the gateway was killed; `cut_off_most` are the US
            dollars that they cost at most, but for `cut_off_unpriced` of them.
    """

    name: str
    project: str
    policy: str
    address: str
    since: float | None
    until: float | None
    requests: int
    by_rung: dict[str, int]
    forced: int
    fallbacks: int
    errors: dict[str, int]
    refused: int
    read: dict[str, int]
    written: dict[str, int]
    dollars: float | None
    shadows: int
    shadow_dollars: float | None
    p50_s: float | None
    p95_s: float | None
    tokens_saved: Saved | None
    dollars_saved: Saved | None
    drift: DriftState
    damaged: int = 0
    earlier: int = 0
    cut_off: int = 0
    cut_off_most: float = 0.0
    cut_off_unpriced: int = 0

    @property
    def unknown_ends(self) -> UnknownEnds:
        """The requests whose end nobody knows, in the words of the whole studio."""
        return UnknownEnds(self.cut_off, Decimal(str(self.cut_off_most)), self.cut_off_unpriced)


def add_ends(meter: Meter, ends: UnknownEnds) -> Meter:
    """The meter with requests whose end nobody knows."""
    return replace(meter, cut_off=ends.requests, cut_off_most=float(ends.most), cut_off_unpriced=ends.unpriced)


def _floats() -> array[float]:
    return array("d")


@dataclass
class Tally:
    """The records of one policy, added up. Dollars are NaN where they are not known.

    `by_student`, `tokens` and `dollars` go by the requests that the policy answered by itself: whether a student did,
    and what all rungs took that were asked; `answer_*` is the part of the rung that answered, NaN where it is not
    known. `ref_*` go by shadowed queries.
    """

    requests: int = 0
    by_rung: Counter[str] = field(default_factory=Counter)
    forced: int = 0
    fallbacks: int = 0
    refused: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    read: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)
    since: float | None = None
    until: float | None = None
    billed: array[float] = field(default_factory=_floats)
    seconds: array[float] = field(default_factory=_floats)
    by_student: array[float] = field(default_factory=_floats)
    tokens: array[float] = field(default_factory=_floats)
    dollars: array[float] = field(default_factory=_floats)
    answer_tokens: array[float] = field(default_factory=_floats)
    answer_dollars: array[float] = field(default_factory=_floats)
    shadows: int = 0
    agreed: array[int] = field(default_factory=lambda: array("b"))
    ref_tokens: array[float] = field(default_factory=_floats)
    ref_dollars: array[float] = field(default_factory=_floats)
    shadow_billed: array[float] = field(default_factory=_floats)

    def add(self, record: Mapping[str, Any]) -> None:
        """Take one record in; what is no record of a request or a shadow is left out."""
        if record.get("type") == "request":
            self._add_request(record)
        elif record.get("type") == "shadow":
            self._add_shadow(record)
        elif record.get("type") == "refused":
            self.refused += _count(record.get("n"))

    def _add_request(self, record: Mapping[str, Any]) -> None:
        at = _number(record.get("at"))
        if not math.isnan(at):
            self.since = at if self.since is None else min(at, self.since)
            self.until = at if self.until is None else max(at, self.until)
        self.requests += 1
        listed = record.get("asked")
        asked = [part for part in listed if isinstance(part, dict)] if isinstance(listed, list) else []
        for part in asked:
            name = str(part.get("system"))
            self.read[name] += _count(part.get("in"))
            self.written[name] += _count(part.get("out"))
        billed = sum(_number(part.get("usd"), 0.0 if part.get("own") else math.nan) for part in asked)
        self.billed.append(billed)
        rung = record.get("rung")
        if not isinstance(rung, str):
            self.errors[str(record.get("error") or "unknown")] += 1
            return
        self.by_rung[rung] += 1
        self.seconds.append(_number(record.get("seconds")))
        self.forced += record.get("forced") is True
        self.fallbacks += record.get("fallback") is True
        if record.get("forced") is not True and record.get("fallback") is not True:
            self._add_own(record, rung, asked, billed)

    def _add_own(self, record: Mapping[str, Any], rung: str, asked: list[dict[str, Any]], billed: float) -> None:
        last = record.get("last") is True
        self.by_student.append(0.0 if last else 1.0)
        self.tokens.append(float(sum(_count(part.get("out")) for part in asked)))
        self.dollars.append(billed)
        own = [part for part in asked if part.get("system") == rung]
        self.answer_tokens.append(sum(_number(part.get("out")) for part in own))
        self.answer_dollars.append(sum(_number(part.get("usd"), 0.0 if part.get("own") else math.nan) for part in own))

    def _add_shadow(self, record: Mapping[str, Any]) -> None:
        self.shadows += 1
        self.shadow_billed.append(_number(record.get("usd"), 0.0 if record.get("own") else math.nan))
        if record.get("error"):
            return
        self.ref_tokens.append(_number(record.get("out")))
        self.ref_dollars.append(self.shadow_billed[-1])
        if isinstance(record.get("agrees"), bool):
            self.agreed.append(int(record["agrees"]))

    def merge(self, other: Tally) -> None:
        """Add what came after it."""
        for name in ("requests", "forced", "fallbacks", "refused", "shadows"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("by_rung", "errors", "read", "written"):
            getattr(self, name).update(getattr(other, name))
        for name, value in vars(other).items():
            if isinstance(value, array):
                getattr(self, name).extend(value)
        self.since = min((at for at in (self.since, other.since) if at is not None), default=None)
        self.until = max((at for at in (self.until, other.until) if at is not None), default=None)


def _number(value: object, unknown: float = math.nan) -> float:
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if usable and isinstance(value, (int, float)) else unknown


def _count(value: object) -> int:
    number = _number(value, 0.0)
    return int(number) if 0 <= number <= 1e12 else 0


def measure(
    about: Mapping[str, Any], tally: Tally, damaged: int = 0, earlier: int = 0, drift: DriftState | None = None
) -> Meter:
    """The meter of what a gateway says of itself and of the records of its policy.

    `drift`: where the watch over them stands, if that is known; else they are gone through.
    """
    expected = about.get("expected") if isinstance(about.get("expected"), dict) else {}
    seconds = np.array(tally.seconds)
    seconds = seconds[np.isfinite(seconds)]
    p50, p95 = (float(np.quantile(seconds, share)) if len(seconds) else None for share in (0.5, 0.95))
    return Meter(
        name=str(about.get("name", "")),
        project=str(about.get("project", "")),
        policy=str(about.get("policy", "")),
        address=str(about.get("address", "")),
        since=tally.since,
        until=tally.until,
        requests=tally.requests,
        by_rung=dict(tally.by_rung),
        forced=tally.forced,
        fallbacks=tally.fallbacks,
        errors=dict(tally.errors),
        read=dict(tally.read),
        written=dict(tally.written),
        dollars=_total(tally.billed),
        shadows=tally.shadows,
        shadow_dollars=_total(tally.shadow_billed),
        p50_s=p50,
        p95_s=p95,
        tokens_saved=find_saved(tally, "tokens", (expected or {}).get("reference_tokens")),
        dollars_saved=find_saved(tally, "dollars", (expected or {}).get("reference_dollars")),
        refused=tally.refused,
        drift=drift or _replay(_read_terms(about), tally.agreed.tobytes()),
        damaged=damaged,
        earlier=earlier,
    )


def _total(values: Iterable[float]) -> float | None:
    total = math.fsum(values)
    return None if math.isnan(total) else total


def watch(about: Mapping[str, Any], agreed: Iterable[int] = ()) -> Drift:
    """The test for a drop of agreement, with what was shadowed so far taken in."""
    return _feed(_read_terms(about), agreed)


def _feed(terms: _Terms, agreed: Iterable[int]) -> Drift:
    drift = Drift(*terms)
    for one in agreed:
        drift.add(bool(one))
    return drift


def _read_terms(about: Mapping[str, Any]) -> _Terms:
    """The agreement to expect, None where that is not known; how much less is a drop; how likely a false alarm is."""
    expected = about.get("expected")
    agreement = _number(expected.get("agreement") if isinstance(expected, dict) else None)
    tolerance, alpha = _number(about.get("tolerance"), TOLERANCE), _number(about.get("alpha"), ALPHA)
    return None if math.isnan(agreement) else agreement, tolerance, alpha


@lru_cache(maxsize=32)
def _replay(terms: _Terms, agreed: bytes) -> DriftState:
    """Where the test stands after these answers, which are gone through once."""
    return _feed(terms, agreed).state


def find_saved(tally: Tally, what: Literal["tokens", "dollars"], reference: object) -> Saved | None:
    """What was saved against asking the last rung alone; None where that, or what was taken, is not known.

    Shadowed queries are drawn from those that students answered, so they stand for these alone; where the last rung
    answered, it took what it took, and what students took before it was not saved. Without enough of them, `reference`
    is the mean of the last rung over the policy's held-out queries, for all requests, and is taken as exact. The
    interval is normal, over requests and over shadowed queries.
    """
    taken, answers = np.array(getattr(tally, what)), np.array(getattr(tally, f"answer_{what}"))
    student, shadowed = np.array(tally.by_student) > 0, np.array(getattr(tally, f"ref_{what}"))
    n = len(taken)
    if n < 2 or np.isnan(taken).any():
        return None
    shadowed = shadowed[np.isfinite(shadowed)]
    source: Literal["shadows", "policy"]
    if len(shadowed) >= ENOUGH:
        source, mean = "shadows", float(shadowed.mean())
        alone = np.where(student, mean, answers)
        extra = float(student.mean()) ** 2 * float(shadowed.var(ddof=1)) / len(shadowed)
    else:
        source, mean, extra = "policy", _number(reference), 0.0
        alone = np.full(n, mean)
    if math.isnan(mean):
        return None
    uncounted = np.isnan(answers)  # it takes what the last rung takes in the mean: nothing is saved by that
    saved = np.where(uncounted, -taken, alone - taken)
    middle, half = float(saved.mean()), _Z * math.sqrt(float(saved.var(ddof=1)) / n + extra)
    return Saved(middle, middle - half, middle + half, float(saved.sum()), n, source)


@dataclass
class _Records:
    """What one file holds: its records by policy, and how many lines were damaged."""

    tallies: dict[str, Tally] = field(default_factory=dict)
    damaged: int = 0


def _take(records: _Records, record: dict[str, Any] | None, end: int) -> None:
    if record is None:
        records.damaged += 1
    else:
        records.tallies.setdefault(str(record.get("policy", "")), Tally()).add(record)


_FILES = Follower(_Records, _take)


def read_all(folder: Path, policy: str) -> tuple[Tally, int, int]:
    """All records of a policy, how many lines were damaged, and how many requests other policies had."""
    whole, damaged, earlier = Tally(), 0, 0
    with _FILES.lock:
        for path in journal_files(folder, METER):
            records = _FILES.look(path)
            if records is None:  # it has just been renamed
                continue
            damaged += records.damaged
            for name, tally in records.tallies.items():
                if name == policy:
                    whole.merge(tally)
                else:
                    earlier += tally.requests
    return whole, damaged, earlier


def read_meter(folder: Path) -> Meter:
    """The meter of a gateway's folder, whether the gateway runs or not.

    Raises:
        NotFound: if no gateway was ever started there.
    """
    about = read_about(folder)
    if not about:
        raise NotFound(f"no gateway {folder.name!r} was started in this workspace; `tacit gateway POLICY` starts one")
    stamps = (read_stamp(path) for path in (folder / ABOUT, *journal_files(folder, METER)))
    return add_ends(_measure_once(folder, tuple(stamps)), find_unknown_ends(folder))


@lru_cache(maxsize=128)
def _measure_once(folder: Path, stamps: tuple[Stamp | None, ...]) -> Meter:
    """The meter of a folder as long as its files are the same; nobody may change what this gives."""
    about = read_about(folder)
    return measure(about, *read_all(folder, str(about.get("policy", ""))))
