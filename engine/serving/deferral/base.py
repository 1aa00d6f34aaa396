"""What a deferral rule is: the least confidence with which a rung answers a query itself.

Deferral by a bound on the model's own confidence is Chow 1970, "On Optimum Recognition Error and Reject Tradeoff"; in
cascades of language models Gupta et al. 2024, "Language Model Cascades: Token-level Uncertainty and Beyond" (arXiv
2404.10136).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from engine.config import Config, read_config
from engine.registry import Registry

Floats = NDArray[np.float64]
NEVER = float("inf")
"""The bar of a rung that is not even asked."""
UNREAD = -1.0
"""The confidence of an answer that states no label."""
UNKNOWN = 0.0
"""The confidence of an answer whose log-prob is not known."""
REST = ""
"""The kind of queries that have none, or one that was not there when the rule was fitted."""
NEVER_SAID = "never: it is not asked"
_MOST_LEVELS = 24


class DeferralRule(Config):
    """Settings of one deferral rule; a subclass a rule.

    Attributes:
        title: how a person reads its name.
        help: one line on it.
        by_kind: whether it tells kinds of queries apart.
    """

    title: ClassVar[str]
    help: ClassVar[str]
    by_kind: ClassVar[bool] = False

    kind: str

    def find_bars(self, kinds: Sequence[str | None]) -> Floats:
        """The least confidence to answer with, for queries of these kinds, (N,); `NEVER`: the rung is not asked."""
        raise NotImplementedError

    def say(self) -> str:
        """When a rung with this rule answers, as a person reads it, behind "answers"."""
        raise NotImplementedError

    @classmethod
    def list_levels(cls, confidence: Floats) -> list[float]:
        """Bars worth trying on a rung of these confidences (N,), from `NEVER` down to what lets most answers pass."""
        raise NotImplementedError

    @classmethod
    def fit(cls, bars: Mapping[str, float]) -> Self:
        """The rule with these bars, by kind of query; `REST` is that of all other queries."""
        raise NotImplementedError


DEFERRALS: Registry[type[DeferralRule]] = Registry("deferrals", "deferral rule")
"""The ways to decide whether a rung answers."""


def read_deferral(values: Any) -> DeferralRule:
    """A deferral rule out of its settings, among them `kind`, its name; a rule as it is.

    Raises:
        ConfigError: if there is no such rule, or a setting is wrong.
    """
    if isinstance(values, DeferralRule):
        return values
    given = dict(values) if isinstance(values, Mapping) else {"kind": values}
    return read_config(DEFERRALS.get(str(given.get("kind", ""))), given)


def list_quantiles(confidence: Floats) -> list[float]:
    """`NEVER`, then quantiles of the confidences of answers that state a label, from the highest, each once."""
    read = confidence[confidence > UNREAD]
    if not len(read):
        return [NEVER]
    found = np.quantile(read, np.linspace(1, 0, _MOST_LEVELS), method="lower")
    return [NEVER, *dict.fromkeys(float(level) for level in found)]
