"""From the few words of a command or a page to a plan."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Literal

from pydantic import Field

from app.usecases.context import Context
from engine.config import Config, LoraSettings, Plan, Step, StudentConfig, TrainConfig, read_config
from engine.errors import ConfigError, TacitError
from engine.students import find_student
from engine.train.plan import TRAIN_PRESETS, standard_kd_plan, twt_plan, with_standard_kd

PLANS = ("twt+standard-kd", "twt", "standard-kd")
_GENERATED = {"paper": 2048, "small-student": 256, "smoke": 64}
"""Tokens that a student may write, by preset."""


class PlanOrder(Config):
    """What somebody asks of a run. What is None comes from the preset.

    `stages` are EPOCHS or EPOCHS@RATE of the three stages, by comma. `compress_cap` in US dollars.
    """

    plan: str = PLANS[0]
    preset: str = "small-student"
    student: str = Field("packaged", min_length=1, max_length=300)
    compressor: str | None = None
    stages: str = ""
    rank: int | None = Field(None, ge=1, le=512)
    learning_rate: float | None = Field(None, gt=0, le=1)
    batch_size: int | None = Field(None, ge=1, le=1024)
    max_tokens: int | None = Field(None, ge=16, le=200_000)
    review: bool = False
    check_level: Literal[1, 2] = 1
    compress_cap: Decimal | None = Field(None, ge=0)


def make_plan(context: Context, project_name: str, order: PlanOrder) -> Plan:
    """A plan as ordered. Where the teachers are recordings and no live compressor is named, it has no stage 2.

    Raises:
        ConfigError: if a name is unknown or the stages can't be read.
    """
    if order.plan not in PLANS:
        raise ConfigError(f"there is no plan {order.plan!r}; the plans are {', '.join(PLANS)}")
    if order.preset not in TRAIN_PRESETS:
        raise ConfigError(f"there is no preset {order.preset!r}; the presets are {', '.join(TRAIN_PRESETS)}")
    lora = LoraSettings() if order.rank is None else LoraSettings(rank=order.rank, alpha=2 * order.rank)
    student = StudentConfig(model=order.student, lora=lora, generate_tokens=_GENERATED[order.preset])
    changes = {name: getattr(order, name) for name in ("learning_rate", "batch_size", "max_tokens")}
    given = {name: value for name, value in changes.items() if value is not None}
    settings = read_stages(order.stages, read_config(TrainConfig, TRAIN_PRESETS[order.preset].model_dump() | given))
    if order.plan == "standard-kd":
        return standard_kd_plan(student, settings[2])
    project = context.projects.get(project_name)
    providers = {spec.provider for spec in context.projects.teachers(project.id)}
    can_compress = order.compressor is not None or "recorded" not in providers
    plan = twt_plan(student, settings, compressor=order.compressor, compressed=can_compress)
    whole = with_standard_kd(plan) if order.plan == "twt+standard-kd" else plan
    return adjust_plan(whole, order.review, order.check_level, order.compress_cap)


def plan_notes(plan: Plan) -> list[str]:
    """What somebody should know of a plan before it is started, without asking anybody outside this machine."""
    notes = []
    trained = {step.dataset for step in plan.steps if step.kind == "train"}
    if "full" in trained and "compressed" not in trained:
        notes.append(
            "Stage 2 is left out: recorded teachers can't rewrite what they said, and nobody is named to compress in "
            "their place. Name a live teacher of the project as compressor to have it."
        )
    try:
        if not find_student(plan.student):
            notes.append(f"{plan.student.model} is not on this machine; Start asks the Hub for it.")
    except TacitError as error:
        notes.append(f"The student can't be had: {error}")
    return notes


def read_stages(text: str, preset: TrainConfig) -> tuple[TrainConfig, TrainConfig, TrainConfig]:
    """Settings of the three stages from EPOCHS or EPOCHS@RATE, by comma, over a preset; empty means the preset.

    Raises:
        ConfigError: if there are not three parts, or one is no number.
    """
    if not text.strip():
        return preset, preset, preset
    parts = text.split(",")
    if len(parts) != 3:
        raise ConfigError(f"stages {text}: give three parts, one a stage, as 2,1,4")
    return tuple(_read_stage(part.strip(), preset) for part in parts)  # type: ignore[return-value]


def _read_stage(part: str, preset: TrainConfig) -> TrainConfig:
    epochs, at, rate = part.partition("@")
    values = {**preset.model_dump(), "epochs": _above_zero(epochs, part), "updates": None}
    return read_config(TrainConfig, values | ({"learning_rate": _above_zero(rate, part)} if at else {}))


def _above_zero(text: str, part: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise ConfigError(f"stages: {part or 'nothing'} can't be a stage; write EPOCHS or EPOCHS@RATE, as 2 or 2@1e-4")
    return number


def adjust_plan(plan: Plan, review: bool, check_level: int = 1, compress_cap: Decimal | None = None) -> Plan:
    """The same plan with another check and cap of compressions, and waiting for a person after them with `review`."""
    approve = "person" if review else "all"
    steps: tuple[Step, ...] = tuple(
        step.model_copy(update={"approve": approve}) if step.kind == "review" else step for step in plan.steps
    )
    return plan.model_copy(update={"steps": steps, "check_level": check_level, "compress_cap": compress_cap})
