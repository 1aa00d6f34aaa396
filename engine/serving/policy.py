"""A policy: who is asked, in which order, and when an answer is good enough, as one JSON file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, field_validator, model_validator

from engine.config import Config, StudentConfig, TeacherConfig, read_config
from engine.errors import InputError
from engine.lines import write_atomically
from engine.serving.deferral import DeferralRule, read_deferral

_MOST_BYTES = 4_000_000


class StudentRung(Config):
    """A student of a run.

    Attributes:
        system: the name by which it goes, as in reports.
        student: the base model and how it writes.
        adapter: folder of its adapter, relative to the workspace; "" where it has none.
        prompt: the student's prompt that it is asked with, a name under `prompts/student`.
        stops_behind_answer: it is cut off where its answer is over, as the task says.
        rule: when its answer is good enough.
    """

    kind: Literal["student"] = "student"
    system: str = Field(min_length=1, max_length=100)
    student: StudentConfig
    adapter: str = Field("", max_length=1000)
    prompt: str = Field("answer", pattern=r"^[A-Za-z0-9_\-]{1,99}$")
    stops_behind_answer: bool = False
    rule: SerializeAsAny[DeferralRule]

    @field_validator("rule", mode="before")
    @classmethod
    def _read_rule(cls, value: Any) -> DeferralRule:
        return read_deferral(value)

    @field_validator("adapter")
    @classmethod
    def _stays_inside(cls, value: str) -> str:
        if value and (Path(value).is_absolute() or ".." in Path(value).parts):
            raise ValueError("must be a folder inside the workspace")
        return value


class TeacherRung(Config):
    """A teacher, which always answers. `teacher` names the variable of its key, never a key.

    `prompt` is the text that it is asked with (system part and user part, split by a line `=====`), `version` its
    version. `teacher` is None for a recorded one, which can't be asked anything new.
    """

    kind: Literal["teacher"] = "teacher"
    system: str = Field(min_length=1, max_length=100)
    teacher: TeacherConfig | None
    prompt: str = Field(max_length=200_000)
    version: int = Field(1, ge=1)


class Certificate(Config):
    """What is guaranteed of a policy, on queries like those it was certified on.

    Attributes:
        reference: the system that it is compared with: the last rung.
        allowed: share of queries that may be lost against it, net of those won.
        sure: with which probability.
        n: queries that certified it.
        labels: what counted as right: gold labels, or the teachers' consensus.
        method: how it was reached.
    """

    reference: str
    allowed: float = Field(ge=0, lt=1)
    sure: float = Field(gt=0, lt=1)
    n: int = Field(ge=1)
    labels: Literal["gold", "consensus"]
    method: str = "learn-then-test, fixed sequence, betting p-value"


class Expected(Config):
    """What a policy came to on `n` held-out queries that took no part in fitting it; means a query, None: not known.

    `shares`: of the queries that each rung answered, by system. `reference_*` is the last rung alone. `agreement`: of
    the queries that students answered, the share with the reference's label.
    """

    n: int
    score: float
    reference_score: float
    shares: dict[str, float]
    tokens: float
    reference_tokens: float
    dollars: float | None = None
    reference_dollars: float | None = None
    seconds: float | None = None
    reference_seconds: float | None = None
    agreement: float | None = Field(None, ge=0, le=1)


Rung = Annotated[StudentRung | TeacherRung, Field(discriminator="kind")]


class Policy(Config):
    """A ladder with what is known of it. All rungs but the last are students."""

    format: Literal["tacit-policy"] = "tacit-policy"
    version: Literal[1] = 1
    project: str = Field(max_length=200)
    run: str = Field(max_length=100)
    task: str = Field(min_length=1, max_length=100)
    made: str = Field("", max_length=40, description="when it was written, ISO 8601 with a zone")
    rungs: tuple[Rung, ...] = Field(min_length=1, max_length=12)
    expected: Expected | None = None
    certificate: Certificate | None = None

    @model_validator(mode="after")
    def _is_a_ladder(self) -> Policy:
        if any(rung.kind != "student" for rung in self.rungs[:-1]):
            raise ValueError("only the last rung may be a teacher: it always answers")
        names = [rung.system for rung in self.rungs]
        if len(set(names)) != len(names):
            raise ValueError("two rungs have the same name")
        return self

    @property
    def systems(self) -> tuple[str, ...]:
        """The rungs' names, in the order in which they are asked."""
        return tuple(rung.system for rung in self.rungs)

    @property
    def students(self) -> Sequence[StudentRung]:
        """The rungs that are students."""
        return [rung for rung in self.rungs if isinstance(rung, StudentRung)]


def write_policy(policy: Policy, path: Path) -> None:
    """Write it as JSON that a person can read, whole or not at all."""
    write_atomically(path, policy.model_dump(mode="json"), indent=2)


def read_policy(path: Path) -> Policy:
    """The policy of a file.

    Raises:
        InputError: if there is none, or it is no policy; the message says what is wrong.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    if path.stat().st_size > _MOST_BYTES:
        raise InputError(f"{path.name} has more than {_MOST_BYTES:,} bytes: it is no policy")
    try:
        values = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError):
        raise InputError(f"{path.name} is no JSON; a policy is what `tacit policy` or the page Save writes") from None
    if not isinstance(values, dict) or values.get("format") != "tacit-policy":
        raise InputError(f"{path.name} is no policy; one is what `tacit policy` or the page Save writes")
    return read_config(Policy, values)
