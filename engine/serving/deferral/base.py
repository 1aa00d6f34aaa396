"""What a deferral rule is: how sure an answer is by what it goes by, and how sure it must be for a rung to answer.

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
        draws_twice: whether it needs a second draw of each answer that states a label.
    """

    title: ClassVar[str]
    help: ClassVar[str]
    by_kind: ClassVar[bool] = False
    draws_twice: ClassVar[bool] = False

    kind: str

    @property
    def second_draw(self) -> float | None:
        """The temperature at which a rung with this rule draws its answer a second time; None: it answers once."""
        return None

    @classmethod
    def weigh(cls, confidence: Floats, agrees: Floats) -> Floats:
        """How sure answers are, by what this rule goes by, (N,); `UNREAD` where no label is stated.

        Args:
            confidence: of the answers, (N,).
            agrees: 1 where a second draw states the same label, 0 where not, NaN where there is none, (N,).
        """
        return confidence

    def find_bars(self, kinds: Sequence[str | None]) -> Floats:
        """How sure an answer must be, for queries of these kinds, (N,); `NEVER`: the rung is not asked."""
        raise NotImplementedError

    def say(self) -> str:
        """When a rung with this rule answers, as a person reads it, behind "answers"."""
        raise NotImplementedError

    @classmethod
    def list_levels(cls, sure: Floats) -> list[float]:
        """Bars worth trying on a rung whose answers are so sure (N,), from `NEVER` down to what lets most pass."""
        raise NotImplementedError

    @classmethod
    def fit(cls, bars: Mapping[str, float], temperature: float | None) -> Self:
        """The rule with these bars, by kind of query; `REST` is that of all other queries.

        `temperature`: of the second draws that they were found on; None: there were none.
        """
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
    levels = np.quantile(read, np.linspace(1, 0, _MOST_LEVELS), method="lower")
    return [NEVER, *dict.fromkeys(float(level) for level in levels)]
