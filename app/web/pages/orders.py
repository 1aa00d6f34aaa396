"""The part of Train that holds what is asked of a new run, and the command that asks the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from app.usecases.labelling.label import read_money
from app.web.choices import read_number
from app.web.fields import lay_html
from app.web.forms import NamedForm
from engine.compression import COMPRESSORS
from engine.config import TrainConfig, read_config
from engine.errors import InputError
from engine.jobs.backends import BACKENDS
from engine.losses import LOSSES
from engine.places import has_folders
from engine.plans import PLANS
from engine.plans.order import PlanOrder
from engine.selection.settings import PRESETS

PRESET_TITLES = {"small-student": "Small student", "paper": "Paper", "smoke": "Smoke test (4 updates a stage)"}
NOBODY = "- its own teacher -"
_CHOSEN = {
    "plan": "Plan",
    "preset": "Preset",
    "check_level": "Answer check",
    "compress_by": "Compression method",
    "backend": "Compute",
}
_NUMBERS = {
    "rank": ("LoRA rank", 1, 512, True),
    "learning_rate": ("Learning rate", 1e-12, 1, False),
    "batch_size": ("Batch size", 1, 1024, True),
    "max_tokens": ("Max tokens per row", 16, 200_000, True),
    "seed": ("Seed", 0, 2**31 - 1, True),
}
"""Label, least, most, and whether it is a whole number."""


def lay_order(only: str | None, lay_between: Callable[[], None] = lambda: None) -> NamedForm[PlanOrder]:
    """The components of an order. `only`: the preset that runs as it is, if one does.

    `lay_between` lays out what stands between the fields that everybody uses and the others.
    """
    presets = [(title, name) for name, title in PRESET_TITLES.items() if only in (None, name)]
    with gr.Row():
        kinds = [(PLANS.get(name).title, name) for name in PLANS.names()]
        begun = PlanOrder().plan
        plan = gr.Dropdown(kinds, value=begun, label="Plan", min_width=120)
        preset = gr.Dropdown(presets, value=presets[0][1], label="Preset", interactive=only is None, min_width=120)
        student = gr.Textbox(
            "packaged",
            label="Student",
            placeholder="packaged, a folder or a Hub id" if has_folders() else "packaged, or a Hub id",
            max_length=300,
            interactive=only is None,
            min_width=120,
        )
        chosen = [("Latest selection", ""), *((PRESETS.get(name).title, name) for name in PRESETS)]
        selection = gr.Dropdown(chosen, value="", label="Selection", interactive=only is None, min_width=120)
    lay_between()
    with gr.Accordion("Advanced", open=False):
        parts = {"plan": plan, "preset": preset, "student": student} | _lay_compressing(only)
        parts |= _lay_training(only) | {"selection": selection}
    order = [*_ORDER, *(name for name in parts if name not in _ORDER)]
    return NamedForm({name: parts[name] for name in order}, read_order)


_ORDER = (
    *("plan", "preset", "student", "compressor", "review", "check_level", "compress_cap", "stages", "rank"),
    *("learning_rate", "batch_size", "max_tokens", "compress_by", "loss", "selection", "backend", "seed", "four_bit"),
)
"""In which order the page sends the values."""


def _lay_compressing(only: str | None) -> dict[str, Any]:
    """Fields about the compression between the stages."""
    lay_html("<h3>Compression</h3>")
    with gr.Row():
        methods = [(COMPRESSORS.get(name).title, name) for name in COMPRESSORS]
        by = gr.Dropdown(methods, value=PlanOrder().compress_by, label="Compression method", interactive=only is None)
        compressor = gr.Dropdown([NOBODY], value=NOBODY, label="Live teacher for compression", visible=False)
        checks = [("The short form states it", 1), ("A teacher derives it from the short form", 2)]
        level = gr.Dropdown(checks, value=1, label="Answer check")
        cap = gr.Textbox(label="Compression budget (US $)", placeholder="no limit", max_length=20)
    review = gr.Checkbox(False, label="Pause for my review of compressed rationales")
    return {"compress_by": by, "compressor": compressor, "check_level": level, "compress_cap": cap, "review": review}


def _lay_training(only: str | None) -> dict[str, Any]:
    """Fields about training, in place of the preset's; none where the preset runs as it is."""
    with gr.Column(visible=only is None):
        lay_html("<h3>Training</h3>")
        with gr.Row():
            stages = gr.Textbox(label="Epochs per stage", placeholder="2,1,4 or 2@1e-4,1,4", max_length=100)
            rank = gr.Textbox(label="LoRA rank", placeholder="8", max_length=10, min_width=90)
            rate = gr.Textbox(label="Learning rate", placeholder="preset", max_length=20, min_width=90)
            batch = gr.Textbox(label="Batch size", placeholder="8", max_length=10, min_width=90)
        with gr.Row():
            most = gr.Textbox(label="Max tokens per row", placeholder="preset", max_length=10, min_width=110)
            losses = [(LOSSES.get(name).title, name) for name in LOSSES]
            loss = gr.Dropdown(losses, value=TrainConfig().loss, label="Loss", min_width=110)
            seed = gr.Textbox(label="Seed", placeholder="0", max_length=10, min_width=90)
            places = [(BACKENDS.get(name).title, name) for name in BACKENDS]
            place = gr.Dropdown(places, value=PlanOrder().backend, label="Compute", min_width=110)
        bits = gr.Checkbox(
            False, label="Hold the base model in 4 bits while training (QLoRA; needs an NVIDIA GPU and bitsandbytes)"
        )
    parts = {"stages": stages, "rank": rank, "learning_rate": rate, "batch_size": batch, "max_tokens": most}
    return parts | {"loss": loss, "backend": place, "seed": seed, "four_bit": bits}


def read_order(named: dict[str, Any]) -> PlanOrder:
    """What somebody asks of a run, from components by the names of `PlanOrder`'s fields.

    Raises:
        InputError: by field, what can't be read.
        ConfigError: by setting, what can't be.
    """
    named["loss"] = None if named["loss"] == TrainConfig().loss else named["loss"]
    named["selection"] = named["selection"] or None
    named["compressor"] = None if named["compressor"] in (NOBODY, "", None) else named["compressor"]
    named["compress_cap"] = read_money(named["compress_cap"])
    named["stages"] = named["stages"] or ""
    for name, label in _CHOSEN.items():
        if named[name] in (None, ""):
            raise InputError(f"{label}: choose one.")
    for name, (label, low, high, whole) in _NUMBERS.items():
        named[name] = read_number(named[name], label, low, high, whole)
    return read_config(PlanOrder, named | {"student": (named["student"] or "").strip()})


def order_words(project: str, order: PlanOrder, name: str = "") -> list[str]:
    """The words of a command that asks the same: plan, preset and student, and what is not as it is by itself."""
    words = ["tacit", "train", project, "--plan", order.plan, "--preset", order.preset, "--student", order.student]
    begun = PlanOrder()
    for field in PlanOrder.model_fields:
        value = getattr(order, field)
        if field in ("plan", "preset", "student") or value == getattr(begun, field):
            continue
        option = f"--{field.replace('_', '-')}"
        words += [option] if value is True else [option, f"{value}"]
    return words + (["--name", name.strip()] if name.strip() else [])
