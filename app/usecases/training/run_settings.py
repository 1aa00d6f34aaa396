"""What runs were asked to do, setting by setting, and in which settings some of them differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.compression import COMPRESSORS
from engine.losses import LOSSES
from engine.plans import PLANS, Compress, Plan, Train
from engine.registry import Registry
from storage.runs import Run


def plan_title(plan: Plan) -> str:
    """A plan as people know it; by its own name where it is not installed here."""
    return _title(PLANS, plan.name)


def settings_of(run: Run) -> dict[str, str]:
    """The settings of a run in words, by their titles; what a plan has none of is left out."""
    plan = run.plan
    student = plan.student
    settings = {
        "Plan": plan_title(plan),
        "Selection": plan.selection.title if plan.selection else f"the project's own ({run.selection_id[:8]})",
        "Student": student.model,
        "LoRA rank": f"{student.lora.rank}",
        "Base while training": "in 4 bits" if student.four_bit else "",
        "Seed": f"{student.seed}",
        "Tokens it may write": f"{student.generate_tokens:,}",
    }
    settings |= {title: _say_trained(plan, say) for title, say in _TRAINED.items()}
    methods = {_title(COMPRESSORS, step.by) for step in plan.steps if isinstance(step, Compress)}
    if methods:
        settings["Compression method"] = ", ".join(sorted(methods))
        settings["Live teacher for compression"] = plan.compressor or "each its own"
        settings["Answer check"] = "asked again" if plan.check_level > 1 else "by the teacher's words"
        settings["Review"] = "by a person" if plan.reviewed else "none"
    return {title: text for title, text in settings.items() if text}


def differing_settings(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    """The settings in which runs differ, each with a value a run, "-" where a run has no such setting."""
    settings_by_run = [settings_of(run) for run in runs]
    titles = list(dict.fromkeys(title for settings in settings_by_run for title in settings))
    rows = [(title, [settings.get(title, "-") for settings in settings_by_run]) for title in titles]
    return [(title, values) for title, values in rows if len(set(values)) > 1]


def _title(registry: Registry[Any] | Mapping[str, Any], name: str) -> str:
    return str(registry[name].title) if name in registry else name


_TRAINED: dict[str, Callable[[Train], str]] = {
    "Epochs": lambda step: "" if step.train.updates or step.equal_updates_to else f"{step.train.epochs:g}",
    "Updates": lambda step: f"{step.train.updates:,}" if step.train.updates else "",
    "Training tokens": lambda step: f"{step.train.tokens:,}" if step.train.tokens else "",
    "Learning rate": lambda step: f"{step.train.learning_rate:g}",
    "Batch size": lambda step: f"{step.train.batch_size}",
    "Longest row": lambda step: f"{step.train.max_tokens:,} tokens",
    "Loss": lambda step: _title(LOSSES, step.train.loss),
}


def _say_trained(plan: Plan, say: Callable[[Train], str]) -> str:
    """A setting of the train steps: once where all have the same, else by step."""
    by_step = {step.name: text for step in plan.trained if (text := say(step))}
    if len(set(by_step.values())) <= 1:
        return next(iter(by_step.values()), "")
    return ", ".join(f"{name} {text}" for name, text in by_step.items())
