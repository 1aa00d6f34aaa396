"""What a rule of selection is: settings with a step that rejects samples, or says why they stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, ClassVar

import numpy as np
from pydantic import ConfigDict

from engine.config import Config, read_config
from engine.errors import ConfigError
from engine.registry import Registry
from engine.selection.arrays import CODES, Bools, Floats, Ints, SelectionInput
from engine.values import Reason

CONFIDENCE, VECTORS, EVIDENCE, COSTS = "confidence", "vectors", "evidence", "costs"
"""What a rule may need: the weighted factors, rationales' vectors, what else is known of samples, or their costs."""


class Stage(IntEnum):
    """What a rule looks at; where nobody orders otherwise, rules follow each other so.

    Rules of asking stand for what would not have been asked for at all, the others judge what came back.
    """

    ASKING = 0
    QUALITY = 1
    LABELS = 2
    DIVERSITY = 3


@dataclass(frozen=True)
class State:
    """A selection under way, in the order of the input; rules make a new one each and change no array.

    Attributes:
        samples: what is selected from.
        confidence: (N,), NaN where it is unknown.
        by_agreement: whether at least half of the weight lies on how far the teachers agree.
        retained: rows that no rule of asking or quality rejected so far, (N,).
        stays: rows that no rule rejected, (N,).
        reason: codes of reasons, (N,); of rows that stay, why.
        similarity: cosine of the pair that a row was kept in, (N,), NaN elsewhere.
    """

    samples: SelectionInput
    confidence: Floats
    by_agreement: bool
    retained: Bools
    stays: Bools
    reason: Ints
    similarity: Floats

    def reject(self, rows: Bools, reason: Reason | Ints = Reason.REJECTED) -> State:
        """Without the rows of a mask (N,); `reason` is one for all, or a code for each row (N,)."""
        code = CODES[reason] if isinstance(reason, Reason) else reason
        going = rows & self.stays
        return replace(self, stays=self.stays & ~rows, reason=np.where(going, code, self.reason))

    def explain(self, rows: Bools, reason: Reason) -> State:
        """With the reason for which the rows of a mask (N,) stay."""
        return replace(self, reason=np.where(rows & self.stays, CODES[reason], self.reason))


class Rule(Config):
    """Settings of one rule, and what it does; a subclass a rule, with defaults for all of its settings.

    Attributes:
        title: how a person reads its name.
        help: one line on what it keeps.
        stage: what it looks at.
        needs: of `CONFIDENCE`, `VECTORS`, `EVIDENCE` and `COSTS` what it reads.
        choices: how a person reads the values of settings that are a choice, by setting and value.
    """

    title: ClassVar[str]
    help: ClassVar[str]
    stage: ClassVar[Stage]
    needs: ClassVar[frozenset[str]] = frozenset()
    choices: ClassVar[Mapping[str, Mapping[str, str]]] = {}

    kind: str

    def apply(self, state: State) -> State:
        """The state without the samples that this rule rejects."""
        raise NotImplementedError

    def order(self, state: State) -> Floats | None:
        """What it would keep first were its bound moved, greater first, (N,), NaN where it knows nothing.

        None where it orders nothing. Methods of selection are compared at equal counts by it.
        """
        return None

    @property
    def cut(self) -> float | None:
        """The confidence below which this rule rejects, where it has such a bound."""
        return None


RULES: Registry[type[Rule]] = Registry("rules", "rule")


class MissingRule(Rule):
    """A rule that was stored and is not installed here any more: its settings are kept, and it can't be applied."""

    model_config = ConfigDict(extra="allow")

    title: ClassVar[str] = "a rule that is not installed"
    help: ClassVar[str] = "Stored by a version or with a package that had it."
    stage: ClassVar[Stage] = Stage.QUALITY

    def apply(self, state: State) -> State:
        """Raise ConfigError: what is not there can't be applied."""
        there = ", ".join(RULES)
        raise ConfigError(
            f"the rule {self.kind} is not installed here: install the package that brings it, or choose among {there}"
        )


def read_rule(values: Any) -> Rule:
    """A rule out of its settings, among them `kind`, its name; a rule as it is. One of an unknown name is kept as such.

    Raises:
        ConfigError: if a setting is wrong.
    """
    if isinstance(values, Rule):
        return values
    given = dict(values) if isinstance(values, Mapping) else {"kind": values}
    kind = str(given.get("kind", ""))
    return read_config(RULES.get(kind) if kind in RULES.names() else MissingRule, {**given, "kind": kind})
