"""Samples, and what selection decided for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from engine.values.ids import hash_id
from engine.values.query import Split
from engine.values.teacher import Sampling

LOG_PROB = "log-prob"
"""Evidence of a sample: the mean log-probability of its label's tokens, in nats."""
GRADE = "grade"
"""Evidence of a sample: what its own teacher graded it, 1 for Good, 1/2 for Medium, 0 for Poor."""
COST = "cost"
"""Evidence of a sample: US dollars of all requests for it, failed ones too; never stored, the ledger tells it."""
BILLED = "billed"
"""Evidence of a sample: US dollars that its provider billed for it before it was imported."""


class Reason(StrEnum):
    """Why selection kept or rejected a sample."""

    KEPT_PAIR = "kept_pair"
    KEPT_FEW = "kept_few"
    KEPT_UNSELECTED = "kept_unselected"
    KEPT = "kept"
    """It passed every rule, and no rule says more."""
    KEPT_BY_HAND = "kept_by_hand"
    DROPPED_BY_HAND = "dropped_by_hand"
    BELOW_THRESHOLD = "below_threshold"
    NOT_IN_TOP_SHARE = "not_in_top_share"
    GRADED_LOWER = "graded_lower"
    NOT_GRADED = "not_graded"
    NO_CONFIDENCE = "no_confidence"
    TEACHERS_DIFFER = "teachers_differ"
    NOT_IN_PAIR = "not_in_pair"
    TOO_FEW_TEACHERS = "too_few_teachers"
    LABEL_MINORITY = "label_minority"
    LABELS_DISAGREE = "labels_disagree"
    REJECTED = "rejected"
    """A rule rejected it and says no more."""

    @property
    def kept(self) -> bool:
        """Whether a sample with this reason belongs to the distillation set."""
        return self.value.startswith("kept")


@dataclass(frozen=True)
class ParsedReply:
    """Rationale, label and factor scores read out of a reply."""

    rationale: str
    label: str
    factors: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """O_ij = (r_ij, y_ij, factor scores): one usable reply. `label_key` is the normalised label.

    `evidence` is what is known of it besides, by name (`LOG_PROB`, `GRADE`).
    """

    id: str
    query_id: str
    teacher: str
    rationale: str
    label: str
    label_key: str
    factors: Mapping[str, float]
    draw: int = 0
    split: Split = Split.DISTILL
    evidence: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SampleKey:
    """Everything that can change a reply. Concurrency, timeouts and the teacher's display name stay out."""

    query_id: str
    endpoint: str
    model: str
    prompt_hash: str
    sampling: Sampling
    draw: int

    @property
    def id(self) -> str:
        """The sample's id."""
        s = self.sampling
        return hash_id(
            "sample",
            self.query_id,
            self.endpoint,
            self.model,
            self.prompt_hash,
            [s.temperature, s.top_p, s.max_tokens],
            self.draw,
        )
