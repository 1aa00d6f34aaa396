"""From the few words of a command or a page to a plan."""

from __future__ import annotations

from app.usecases.context import Context
from engine.config import Plan, Step, StudentConfig, TrainConfig, read_config
from engine.errors import ConfigError
from engine.train.plan import TRAIN_PRESETS, standard_kd_plan, twt_plan, with_standard_kd

PLANS = ("twt", "twt+standard-kd", "standard-kd")


def make_plan(
    context: Context, project_name: str, name: str, preset: str, student: str, compressor: str | None, stages: str
) -> Plan:
    """A plan by name. Where the teachers are recordings and no live compressor is named, it has no stage 2.

    Raises:
        ConfigError: if a name is unknown or the stages can't be read.
    """
    if name not in PLANS:
        raise ConfigError(f"there is no plan {name!r}; the plans are {', '.join(PLANS)}")
    if preset not in TRAIN_PRESETS:
        raise ConfigError(f"there is no preset {preset!r}; the presets are {', '.join(TRAIN_PRESETS)}")
    config = StudentConfig(model=student, generate_tokens=256 if preset != "paper" else 2048)
    settings = read_stages(stages, TRAIN_PRESETS[preset])
    if name == "standard-kd":
        return standard_kd_plan(config, settings[2])
    project = context.projects.get(project_name)
    providers = {spec.provider for spec in context.projects.teachers(project.id)}
    can_compress = compressor is not None or "recorded" not in providers
    plan = twt_plan(config, settings, compressor=compressor, compressed=can_compress)
    return with_standard_kd(plan) if name == "twt+standard-kd" else plan


def read_stages(text: str, preset: TrainConfig) -> tuple[TrainConfig, TrainConfig, TrainConfig]:
    """Settings of the three stages from EPOCHS or EPOCHS@RATE, by comma, over a preset; empty means the preset.

    Raises:
        ConfigError: if there are not three parts, or one is no number.
    """
    if not text:
        return preset, preset, preset
    parts = text.split(",")
    if len(parts) != 3:
        raise ConfigError(f"--stages {text}: give three parts, one a stage")
    return tuple(_read_stage(part, preset) for part in parts)  # type: ignore[return-value]


def _read_stage(part: str, preset: TrainConfig) -> TrainConfig:
    epochs, _, rate = part.partition("@")
    values = {**preset.model_dump(), "epochs": epochs, "updates": None}
    return read_config(TrainConfig, values | ({"learning_rate": rate} if rate else {}))


def adjust_plan(plan: Plan, review: bool, check_level: int = 1) -> Plan:
    """The same plan with another check of compressions, and waiting for a person after them where `review` says so."""
    approve = "person" if review else "all"
    steps: tuple[Step, ...] = tuple(
        step.model_copy(update={"approve": approve}) if step.kind == "review" else step for step in plan.steps
    )
    return plan.model_copy(update={"steps": steps, "check_level": check_level})
