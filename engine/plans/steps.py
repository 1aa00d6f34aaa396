"""Plans and their steps as values: a plan says which steps make a student, a step what is done and from what."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from engine.compression.base import COMPRESSORS
from engine.compression.teacher_guided import TEACHER_GUIDED
from engine.config import Config, ReplaySource, StudentConfig, TrainConfig
from engine.datasets import DATASETS
from engine.datasets.full import FULL
from engine.losses import LOSSES
from engine.selection.settings import SelectionConfig
from engine.values import LOCAL

Role = Literal["untrained", "stage", "baseline"]
"""What the student of an evaluation is: untrained, trained by the plan's method, or trained to compare with."""


class NamedStep(Config):
    """What all steps have."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_\-]{0,99}$", description="a folder of the run is named so")


class Train(NamedStep):
    """Fit a dataset, going on from the adapter of step `start` (None: a new adapter)."""

    kind: Literal["train"] = "train"
    start: str | None = None
    dataset: str = Field(FULL, max_length=100)
    replay: tuple[ReplaySource, ...] = ()
    train: TrainConfig = TrainConfig()
    equal_updates_to: tuple[str, ...] = Field((), description="take as many updates as these steps together")


class Answer(NamedStep):
    """The student of step `start` writes rationales of its own, which compressing goes by."""

    kind: Literal["answer"] = "answer"
    start: str | None = None


class Compress(NamedStep):
    """The selected rationales are rewritten by a compressor, which may go by what the student wrote before."""

    kind: Literal["compress"] = "compress"
    by: str = Field(TEACHER_GUIDED, max_length=100)


class Review(NamedStep):
    """A person looks at what the compress step before brought, unless `approve` says all."""

    kind: Literal["review"] = "review"
    approve: Literal["all", "person"] = "all"


class Evaluate(NamedStep):
    """Score the student of step `start` (None: the untrained one, with `shots` worked examples) on held-out queries.

    `reference`: the report compares every other system with this one, paired by query. `prompt` names the student's
    prompt that it is asked with, where that is not the one of its kind; `alias` the name that it then goes by.
    `stops_behind_answer`: it is cut off where its answer is over, as the task says.
    """

    kind: Literal["evaluate"] = "evaluate"
    start: str | None = None
    shots: int = Field(0, ge=0)
    role: Role = "stage"
    reference: bool = False
    prompt: str = Field("", pattern=r"^[A-Za-z0-9_\-]{0,99}$")
    alias: str = Field("", pattern=r"^[A-Za-z0-9_\-]{0,99}$")
    stops_behind_answer: bool = False

    @property
    def system(self) -> str:
        """The name under which this student answers."""
        return self.alias or self.start or self.name


Step = Annotated[Train | Answer | Compress | Review | Evaluate, Field(discriminator="kind")]
AnyStep = Train | Answer | Compress | Review | Evaluate


class Plan(Config):
    """The steps that turn a selection of samples into a student."""

    name: str
    student: StudentConfig = StudentConfig()
    steps: tuple[Step, ...]
    compressor: str | None = Field(None, description="a live teacher that compresses for recorded ones")
    check_level: Literal[1, 2] = 1
    compress_cap: Decimal | None = Field(None, ge=0, description="US dollars that one start of compressing may cost")
    selection: SelectionConfig | None = Field(None, description="what it trains on, where not what was selected last")
    backend: str = Field(LOCAL, max_length=100, description="where its workers run; changes no result")

    @property
    def reviewed(self) -> bool:
        """Whether a person approves any rationales before they are taught."""
        return any(isinstance(step, Review) and step.approve == "person" for step in self.steps)

    @property
    def trained(self) -> list[Train]:
        """The train steps in their order."""
        return [step for step in self.steps if isinstance(step, Train)]

    @property
    def asks_to_compress(self) -> bool:
        """Whether a compress step needs a live teacher."""
        by = [step.by for step in self.steps if isinstance(step, Compress) and step.by in COMPRESSORS.names()]
        return any(COMPRESSORS.get(name).needs_teacher for name in by)

    @property
    def missing(self) -> list[str]:
        """What the plan names and is not installed here; such a plan can be looked at, and not run."""
        missing = self.selection.missing if self.selection else []
        for step in self.steps:
            if isinstance(step, Compress) and step.by not in COMPRESSORS.names():
                missing.append(f"the compressor {step.by}")
            if isinstance(step, Train):
                taught = (step.dataset, *(source.dataset for source in step.replay))
                missing += [f"the dataset {name}" for name in taught if name not in DATASETS.names()]
                missing += [] if step.train.loss in LOSSES.names() else [f"the loss {step.train.loss}"]
        return list(dict.fromkeys(missing))

    @property
    def evaluated(self) -> list[Evaluate]:
        """The evaluations in their order."""
        return [step for step in self.steps if isinstance(step, Evaluate)]

    def step(self, name: str) -> AnyStep:
        """The step of a name; StopIteration where there is none."""
        return next(step for step in self.steps if step.name == name)

    def before(self, name: str, kind: type[NamedStep]) -> str:
        """The last step of a kind in front of the step of a name; "" where there is none.

        So the rationales of a train or review step are those of the compress step before it, and a compress step has
        the student's own from the answer step before it.
        """
        names = [step.name for step in self.steps]
        ahead = self.steps[: names.index(name)]
        return next((step.name for step in reversed(ahead) if isinstance(step, kind)), "")

    def reviews(self, compress: str) -> bool:
        """Whether a person approves what a compress step brought, before it is taught."""
        return any(
            isinstance(step, Review) and step.approve == "person" and self.before(step.name, Compress) == compress
            for step in self.steps
        )

    @field_validator("steps", mode="before")
    @classmethod
    def _read_older(cls, steps: Any) -> Any:
        return tuple(map(_upgrade, steps)) if isinstance(steps, (list, tuple)) else steps

    @model_validator(mode="after")
    def _steps_fit(self) -> Plan:
        seen: dict[str, AnyStep] = {}
        for step in self.steps:
            if step.name in seen:
                raise ValueError(f"two steps are named {step.name}")
            for other in _named_in(step):
                if not isinstance(seen.get(other), Train):
                    raise ValueError(f"step {step.name} refers to {other}, which is no earlier train step")
            if isinstance(step, Train) and not any(isinstance(other, Compress) for other in seen.values()):
                _refuse_compressed(step)
            if isinstance(step, Evaluate) and any(
                isinstance(other, Evaluate) and other.system == step.system for other in seen.values()
            ):
                raise ValueError(f"step {step.name} scores {step.system}, which an earlier step scores already")
            seen[step.name] = step
        return self


def _refuse_compressed(step: Train) -> None:
    """Refuse a step that no compress step is before, where its rows need one."""
    for name in (step.dataset, *(source.dataset for source in step.replay)):
        kind = DATASETS.get(name) if name in DATASETS.names() else None
        if kind is not None and kind.needs_compress:
            raise ValueError(f"step {step.name} teaches {kind.title}, and no compress step is before it")


def _named_in(step: AnyStep) -> tuple[str, ...]:
    """The steps that a step refers to."""
    start = getattr(step, "start", None)
    return (*((start,) if start else ()), *(step.equal_updates_to if isinstance(step, Train) else ()))


_OLDER = {"start", "dataset", "replay", "train", "equal_updates_to", "shots", "approve"}
"""Fields that every step had, whatever its kind, before kinds had fields of their own."""
_OLDER_REFERENCES = ("vanilla-fewshot", "standard-kd-equal-updates")
_KINDS: dict[str, type[NamedStep]] = {
    "train": Train,
    "answer": Answer,
    "compress": Compress,
    "review": Review,
    "evaluate": Evaluate,
}


def _upgrade(step: Any) -> Any:
    """A step as it was stored before kinds had fields of their own, and evaluations a role; any other as it is."""
    kind = _KINDS.get(str(step.get("kind"))) if isinstance(step, Mapping) else None
    others = _OLDER - kind.model_fields.keys() if kind else _OLDER
    if kind is None or not others or not others <= step.keys():
        return step
    own = {name: value for name, value in step.items() if name in kind.model_fields}
    if kind is Evaluate:
        system = str(step["start"] or step.get("name"))
        role = "untrained" if step["start"] is None else "stage" if system.startswith("stage") else "baseline"
        own |= {"role": role, "reference": system in _OLDER_REFERENCES}
    return own
