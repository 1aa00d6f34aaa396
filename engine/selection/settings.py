"""The settings of a selection: how confidence is weighed, and the rules that follow each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, SerializeAsAny, field_validator, model_validator

from engine.config import Config, read_config
from engine.errors import ConfigError
from engine.registry import Registry
from engine.selection.calibration import COLDEST, HOTTEST
from engine.selection.factors import FACTORS
from engine.selection.rules import CONFIDENCE, COSTS, EVIDENCE, RULES, VECTORS, MissingRule, Rule, Stage, read_rule
from engine.selection.rules.hard_rejection import HardRejection
from engine.selection.rules.labels import Labels
from engine.selection.rules.least_similar_pair import LeastSimilarPair
from engine.selection.rules.threshold import Threshold
from engine.selection.rules.top_share import TopShare

_DCRS: tuple[Rule, ...] = (Threshold(), Labels(), LeastSimilarPair())
_OLDER = {"method", "threshold", "few", "disagreement"}
"""Fields that settings had before rules had fields of their own."""


class SelectionConfig(Config):
    """How samples are selected; by default by Dual-Criteria Rejection Sampling, step 1 of the method.

    `weights` maps factors to non-negative weights (normalised to sum 1); empty means equal weights on the task's
    reported factors. `temperature` divides the log-odds of a confidence before any rule reads it; 1 leaves it as it is,
    and only a person sets another. `rules` are applied in their order, one of a kind at most; without any, every sample
    is kept.
    """

    weights: dict[str, float] = Field(default_factory=dict)
    temperature: float = Field(1.0, ge=COLDEST, le=HOTTEST)
    rules: tuple[SerializeAsAny[Rule], ...] = _DCRS

    @property
    def by_agreement(self) -> bool:
        """Whether at least half of the weight lies on how far the teachers agree."""
        agreeing = sum(w for name, w in self.weights.items() if name in FACTORS.names() and FACTORS.get(name).votes)
        return self.needs_confidence and agreeing > 0 and 2 * agreeing >= sum(self.weights.values())

    @property
    def needs_confidence(self) -> bool:
        """Whether a rule reads confidences."""
        return any(CONFIDENCE in rule.needs for rule in self.rules)

    @property
    def needs_vectors(self) -> bool:
        """Whether a rule reads the rationales' vectors."""
        return any(VECTORS in rule.needs for rule in self.rules)

    @property
    def needs_evidence(self) -> bool:
        """Whether a rule or a weighted factor reads what is known of samples beside their labels and scores."""
        weighed = [FACTORS.get(name) for name, weight in self.weights.items() if weight and name in FACTORS.names()]
        by_factor = self.needs_confidence and any(factor.evidence for factor in weighed)
        return by_factor or any(EVIDENCE in rule.needs for rule in self.rules)

    @property
    def needs_costs(self) -> bool:
        """Whether a rule reads what samples cost."""
        return any(COSTS in rule.needs for rule in self.rules)

    @property
    def asking(self) -> SelectionConfig:
        """The rules of asking alone: what they keep is what teachers are paid for."""
        return self.model_copy(update={"rules": tuple(rule for rule in self.rules if rule.stage is Stage.ASKING)})

    @property
    def cut(self) -> float | None:
        """The confidence below which some rule rejects; None where no rule has such a bound."""
        return max((rule.cut for rule in self.rules if rule.cut is not None), default=None)

    @property
    def missing(self) -> list[str]:
        """The rules that are not installed here."""
        return [f"the rule {rule.kind}" for rule in self.rules if isinstance(rule, MissingRule)]

    @property
    def title(self) -> str:
        """The rules with their settings, as a person reads them."""
        return ", then ".join(map(_say_rule, self.rules)) or "no rule: every sample is kept"

    def with_rule(self, rule: Rule) -> SelectionConfig:
        """The same settings with a rule in the place of the one of its kind, else behind those of earlier stages."""
        others = [other for other in self.rules if other.kind != rule.kind]
        places = [number for number, other in enumerate(self.rules) if other.kind == rule.kind]
        place = places[0] if places else sum(other.stage <= rule.stage for other in others)
        return self.model_copy(update={"rules": (*others[:place], rule, *others[place:])})

    def change(self, values: Mapping[str, Any]) -> SelectionConfig:
        """The same settings with other values, each in the rule that has a setting of that name, or in the whole.

        A rule that has it and is not chosen yet is chosen then.

        Raises:
            ConfigError: if no rule has such a setting, or a value is wrong.
        """
        config = self
        for name, value in values.items():
            if name in ("weights", "temperature"):
                config = read_config(SelectionConfig, {**config.model_dump(), name: value})
                continue
            owner = next((rule for rule in config.rules if name in type(rule).model_fields), None)
            kind = owner.kind if owner else _find_owner(name)
            given = (owner.model_dump() if owner else {}) | {"kind": kind, name: value}
            config = config.with_rule(read_config(RULES.get(kind), given))
        return config

    @model_validator(mode="before")
    @classmethod
    def _read_older(cls, values: Any) -> Any:
        """Settings as they were stored before rules had fields of their own."""
        if not isinstance(values, Mapping) or not _OLDER & values.keys() or "rules" in values:
            return values
        given = {name: value for name, value in values.items() if name not in _OLDER}
        older = {name: value for name, value in values.items() if name in _OLDER}
        method = older.pop("method", "confidence")
        if method == "none":
            labels = Labels()
            rules = [_take(labels, older)] if older.get("disagreement", labels.disagreement) != "keep" else []
            return {**given, "rules": rules}
        if method != "confidence":
            raise ValueError(f"method {method}: there is no such method of selection")
        return {**given, "rules": [_take(rule, older) for rule in _DCRS]}

    @field_validator("rules", mode="before")
    @classmethod
    def _read_rules(cls, rules: Any) -> Any:
        try:
            return tuple(map(read_rule, rules)) if isinstance(rules, (list, tuple)) else rules
        except ConfigError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _is_usable(self) -> SelectionConfig:
        if any(weight < 0 for weight in self.weights.values()):
            raise ValueError("a weight must not be negative")
        if self.weights and sum(self.weights.values()) <= 0:
            raise ValueError("at least one weight must be positive")
        kinds = [rule.kind for rule in self.rules]
        if len(set(kinds)) < len(kinds):
            raise ValueError(f"each rule can be used once; these are {', '.join(kinds)}")
        return self


def _find_owner(setting: str) -> str:
    """The rule that has a setting of that name."""
    owners = [kind for kind in RULES if setting in RULES.get(kind).model_fields and setting != "kind"]
    if not owners:
        raise ConfigError(f"no rule has a setting {setting}; the rules are {', '.join(RULES)}")
    return owners[0]


def _take(rule: Rule, values: Mapping[str, Any]) -> dict[str, Any]:
    """A rule's settings with those values that it has a field for."""
    return rule.model_dump() | {name: value for name, value in values.items() if name in type(rule).model_fields}


def _say_rule(rule: Rule) -> str:
    said = [f"{name} {value}" for name, value in rule.model_dump(exclude={"kind"}).items()]
    return f"{rule.title} ({', '.join(said)})" if said else rule.title


def dcrs(
    threshold: float = Threshold().threshold,
    weights: Mapping[str, float] | None = None,
    disagreement: str = Labels().disagreement,
    few: str = LeastSimilarPair().few,
    temperature: float = 1.0,
) -> SelectionConfig:
    """Dual-Criteria Rejection Sampling: a threshold of confidence, then labels that differ, then the pair.

    Raises:
        ConfigError: if a value is wrong.
    """
    rules = (
        {"kind": Threshold().kind, "threshold": threshold},
        {"kind": Labels().kind, "disagreement": disagreement},
        {"kind": LeastSimilarPair().kind, "few": few},
    )
    return read_config(SelectionConfig, {"weights": dict(weights or {}), "temperature": temperature, "rules": rules})


class Preset(Config):
    """Settings by a name of their own, with a title and a line of help."""

    name: str
    title: str
    help: str
    config: SelectionConfig


PRESETS: Registry[Preset] = Registry("presets", "preset")

PAPER = Preset(
    name="paper", title="the paper's: the teachers' own scores", help="Threshold 0.95.", config=SelectionConfig()
)
RECORDINGS = Preset(
    name="recordings",
    title="recordings: agreement",
    help="Weighted agreement in place of scores, threshold 0.6.",
    config=dcrs(0.6, {"agreement_weighted": 1.0}),
)
"""Recordings bring no scores of their own: the weighted share of votes stands in. At 0.6 two teachers must agree; of
three all, or two that are not the least reliable ones; of eight five or six."""
NONE = Preset(name="none", title="keep all", help="No rule: every sample is kept.", config=SelectionConfig(rules=()))
LOG_PROBS = Preset(
    name="log-prob",
    title="log-prob: the top half",
    help="Of each teacher's answers the half whose labels have the highest mean log-prob; needs log-probs.",
    config=SelectionConfig(weights={"log-prob": 1.0}, rules=(TopShare(),)),
)
GRADES = Preset(
    name="hard-rejection",
    title="hard rejection: graded Good",
    help="What its own teacher graded Good; needs `tacit grade`.",
    config=SelectionConfig(rules=(HardRejection(),)),
)
MAJORITY = Preset(
    name="majority",
    title="majority of labels",
    help="The label that over half of a query's teachers give; a query without one goes.",
    config=SelectionConfig(rules=(Labels(disagreement="majority"),)),
)
"""The paper's Table 4 compares its method with log-probs and with hard rejection and states no keep rule of either.
Each stands alone here, without the least similar pair, as what the paper's method is compared with."""
for _preset in (PAPER, RECORDINGS, LOG_PROBS, GRADES, MAJORITY, NONE):
    PRESETS.add(_preset.name, _preset)


def read_selection(
    start: SelectionConfig, changes: Mapping[str, Any], weights: Sequence[str] = (), rules: Sequence[str] = ()
) -> SelectionConfig:
    """Settings with what the user changed; weights come as FACTOR=WEIGHT, rules as RULE or RULE:SETTING=VALUE,...

    Rules that are given replace those there are. `changes` are settings by name; those that are None stay.

    Raises:
        ConfigError: if a name is unknown or a value can't be read.
    """
    config = start
    if rules:
        config = read_config(SelectionConfig, {**config.model_dump(), "rules": [_parse_rule(rule) for rule in rules]})
    given = {name: value for name, value in changes.items() if value is not None}
    if weights:
        given["weights"] = dict(_split(pair, "give weights as FACTOR=WEIGHT") for pair in weights)
    return config.change(given)


def _parse_rule(text: str) -> dict[str, str]:
    kind, _, settings = (part.strip() for part in text.partition(":"))
    RULES.get(kind)
    pairs = [part for part in settings.split(",") if part.strip()]
    usage = f"rule {text}: give RULE or RULE:SETTING=VALUE, as {Threshold().kind}:threshold=0.9"
    return {**dict(_split(pair, usage) for pair in pairs), "kind": kind}


def _split(pair: str, usage: str) -> tuple[str, str]:
    name, equal, value = pair.partition("=")
    if not equal:
        raise ConfigError(usage)
    return name.strip(), value.strip()
