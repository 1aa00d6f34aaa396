"""Routing by kind: a rung answers all queries of some kinds, however sure it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Literal

import numpy as np
from pydantic import Field

from engine.serving.deferral.base import DEFERRALS, NEVER, NEVER_SAID, UNKNOWN, DeferralRule, Floats

_NAME: Final = "kind"


class ByKind(DeferralRule):
    """Answer queries of these kinds, and be asked no others. An answer without a label goes on all the same."""

    title: ClassVar[str] = "Kind of query"
    help: ClassVar[str] = "Answers all queries of the kinds that it is good at. Callers must name the kind."
    by_kind: ClassVar[bool] = True

    kind: Literal["kind"] = _NAME
    kinds: tuple[str, ...] = Field((), title="Kinds that it answers")

    def find_bars(self, kinds: Sequence[str | None]) -> Floats:
        """0 for queries of its kinds, `NEVER` for all others."""
        return np.array([UNKNOWN if kind and kind in self.kinds else NEVER for kind in kinds], dtype=np.float64)

    def say(self) -> str:
        """The bound in words."""
        return f"where the kind is {' or '.join(self.kinds)}" if self.kinds else NEVER_SAID

    @classmethod
    def list_levels(cls, sure: Floats) -> list[float]:
        """Not asked, or all."""
        return [NEVER, UNKNOWN]

    @classmethod
    def fit(cls, bars: Mapping[str, float], temperature: float | None) -> ByKind:
        """The rule that answers the kinds whose bar is not `NEVER`."""
        return cls(kinds=tuple(sorted(kind for kind, bar in bars.items() if kind and bar != NEVER)))


DEFERRALS.add(_NAME, ByKind)
