"""Asking a ladder one query: rung after rung, until an answer is good enough."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np

from engine.errors import TacitError
from engine.serving.deferral.base import UNREAD
from engine.serving.policy import Policy, StudentRung, TeacherRung
from engine.values import Query, Usage


@dataclass(frozen=True)
class RungAnswer:
    """What one rung answered.

    Attributes:
        system: the rung's name.
        text: as it wrote it.
        label: what it answers; None where it states nothing that can be read.
        confidence: in [0, 1], or `UNKNOWN` or `UNREAD` of `engine.serving.deferral.base`; of a teacher `UNKNOWN`.
        usage: tokens that it read and wrote.
        dollars: what it cost; None: not known.
        seconds: how long it took; these three are of both draws, where it was drawn twice.
        agrees: whether a second draw states the same label; None: there was none.
    """

    system: str
    text: str
    label: str | None
    confidence: float
    usage: Usage
    dollars: float | None
    seconds: float
    agrees: bool | None = None


@dataclass(frozen=True)
class Served:
    """What a ladder answered: the answer that counts (None: nobody has one), and all that were asked for, in order.

    `failed`: what went wrong at a rung, by system. `fallback`: the answer is of a student that was not sure enough,
    because the rungs behind it failed.
    """

    answer: RungAnswer | None
    asked: tuple[RungAnswer, ...]
    failed: dict[str, str]
    fallback: bool = False


Ask = Callable[[StudentRung | TeacherRung, Query], Awaitable[RungAnswer]]
"""Asks a rung; raises TacitError where it can't answer."""


async def climb(policy: Policy, query: Query, kind: str | None, ask: Ask, only: str = "") -> Served:
    """Ask rung after rung until one is sure enough; the last one's answer always counts, if it states a label.

    A rung that fails is passed over. Where all rungs behind a student failed, the surest of the students' answers
    counts, and is marked as a fallback.

    Args:
        kind: of the query, for rules that tell kinds apart; None: not known.
        only: a rung's name: nobody else is asked, and its answer counts however sure it is.
    """
    asked: list[RungAnswer] = []
    failed: dict[str, str] = {}
    sure: dict[str, float] = {}
    for rung in policy.rungs:
        if only and rung.system != only:
            continue
        bar = float(rung.rule.find_bars([kind])[0]) if isinstance(rung, StudentRung) else UNREAD
        last = rung is policy.rungs[-1] or bool(only)
        if not last and bar == float("inf"):
            continue
        try:
            answer = await ask(rung, query)
        except TacitError as error:
            failed[rung.system] = str(error)
            continue
        asked.append(answer)
        sure[answer.system] = weigh(rung, answer)
        if (last and answer.label is not None) or (not last and sure[answer.system] >= bar):
            return Served(answer, tuple(asked), failed)
    surest = max(asked, key=lambda answer: (sure[answer.system], answer.confidence), default=None)
    return Served(surest, tuple(asked), failed, fallback=surest is not None)


def weigh(rung: StudentRung | TeacherRung, answer: RungAnswer) -> float:
    """How sure a rung's answer is, by what its rule goes by."""
    if not isinstance(rung, StudentRung):
        return answer.confidence
    agrees = np.nan if answer.agrees is None else float(answer.agrees)
    return float(rung.rule.weigh(np.array([answer.confidence]), np.array([agrees]))[0])
