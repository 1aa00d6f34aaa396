"""What somebody asks of a plan in a few words, and the settings that these words stand for."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Literal, NamedTuple

from pydantic import Field

from engine.compression.base import COMPRESSORS
from engine.compression.teacher_guided import TEACHER_GUIDED
from engine.config import Config, LoraSettings, StudentConfig, TrainConfig, read_config
from engine.errors import ConfigError
from engine.losses import LOSSES
from engine.plans.steps import Plan, Review
from engine.values import LOCAL

TRAIN_PRESETS = {
    "paper": TrainConfig(),
    "small-student": TrainConfig(epochs=2, learning_rate=1e-3, max_tokens=1024),
    "smoke": TrainConfig(updates=4, learning_rate=1e-3, max_tokens=1024, validation=0),
}
_GENERATED = {"paper": 2048, "small-student": 256, "smoke": 64}
"""Tokens that a student may write, by preset."""


class PlanOrder(Config):
    """What somebody asks of a run. What is None comes from the preset.

    `stages` are EPOCHS or EPOCHS@RATE of the three stages, by comma. `compress_cap` in US dollars. `selection` names a
    preset of selection, for a run that does not train on what was selected last. `backend` is where it trains; `seed`
    is that of the adapter and of the order of rows. `four_bit`: the base is held in 4 bits while adapters are trained.
    """

    plan: str = "twt+standard-kd"
    preset: str = "small-student"
    student: str = Field("packaged", min_length=1, max_length=300)
    compressor: str | None = None
    stages: str = ""
    rank: int | None = Field(None, ge=1, le=512)
    learning_rate: float | None = Field(None, gt=0, le=1)
    batch_size: int | None = Field(None, ge=1, le=1024)
    max_tokens: int | None = Field(None, ge=16, le=200_000)
    loss: str | None = None
    compress_by: str = TEACHER_GUIDED
    selection: str | None = None
    review: bool = False
    check_level: Literal[1, 2] = 1
    compress_cap: Decimal | None = Field(None, ge=0)
    backend: str = Field(LOCAL, max_length=100)
    seed: int | None = Field(None, ge=0, lt=2**31)
    four_bit: bool = False


class PlanSettings(NamedTuple):
    """What a plan is made of: the student, the settings of three stages, and who compresses.

    `compressed` is False where nobody can compress: the teachers are recordings, and no live one is named.
    """

    student: StudentConfig
    stages: tuple[TrainConfig, TrainConfig, TrainConfig]
    compressor: str | None = None
    compressed: bool = True
    compress_by: str = TEACHER_GUIDED


def read_order(order: PlanOrder, recorded: bool) -> PlanSettings:
    """The settings that an order stands for. `recorded`: some of the project's teachers are recordings.

    Raises:
        ConfigError: if the preset is unknown or the stages can't be read.
    """
    if order.loss is not None:
        LOSSES.get(order.loss)
    if order.preset not in TRAIN_PRESETS:
        raise ConfigError(f"there is no preset {order.preset!r}; the presets are {', '.join(TRAIN_PRESETS)}")
    lora = LoraSettings() if order.rank is None else LoraSettings(rank=order.rank, alpha=2 * order.rank)
    seed = {} if order.seed is None else {"seed": order.seed}
    written = _GENERATED[order.preset]
    student = StudentConfig(model=order.student, lora=lora, generate_tokens=written, four_bit=order.four_bit, **seed)
    changes = {name: getattr(order, name) for name in ("learning_rate", "batch_size", "max_tokens", "loss")}
    given = {name: value for name, value in changes.items() if value is not None}
    stages = read_stages(order.stages, read_config(TrainConfig, TRAIN_PRESETS[order.preset].model_dump() | given))
    asks = COMPRESSORS.get(order.compress_by).needs_teacher
    compressed = order.compressor is not None or not recorded or not asks
    return PlanSettings(student, stages, order.compressor, compressed, order.compress_by)


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
    steps = tuple(
        step.model_copy(update={"approve": approve}) if isinstance(step, Review) else step for step in plan.steps
    )
    return plan.model_copy(update={"steps": steps, "check_level": check_level, "compress_cap": compress_cap})
