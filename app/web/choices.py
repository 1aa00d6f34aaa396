"""What pages share that work on a chosen run, or ask before they remove something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import gradio as gr

from app.usecases.training.run_settings import plan_title
from app.web.address import read_named
from engine.errors import InputError
from storage.runs import Run


class Question(NamedTuple):
    """What stands between a button and what it removes: the question, and its two answers."""

    row: gr.Column
    text: gr.HTML
    yes: gr.Button
    no: gr.Button

    def asked(self, html: str) -> list[Any]:
        """Values of `row` and `text` that ask it."""
        return [gr.Column(visible=True), html]

    def closed(self) -> Any:
        """The value of `row` once it was answered."""
        return gr.Column(visible=False)


def lay_question(yes: str, no: str) -> Question:
    """Lay a question out, which is not asked yet."""
    with gr.Column(visible=False) as row:
        text = gr.HTML(padding=False)
        with gr.Row():
            return Question(row, text, gr.Button(yes, variant="stop"), gr.Button(no))


def enable(*can: object) -> list[Any]:
    """Buttons that can be pressed now, or can't."""
    return [gr.Button(interactive=bool(one)) for one in can]


def run_name(run: Run) -> str:
    """A run as choices name it."""
    return f"{run.title} · {plan_title(run.plan)} · {run.status.value}"


def run_choices(runs: Sequence[Run], chosen: str | None = None) -> Any:
    """A dropdown of runs, the newest chosen unless another is named."""
    names = [(run_name(run), run.id) for run in runs]
    value = chosen if any(run.id == chosen for run in runs) else runs[0].id if runs else None
    return gr.Dropdown(names, value=value, visible=bool(names))


def choose_run(runs: Sequence[Run], address: str, chosen: str | None) -> str | None:
    """The run that a page shows: that of the address, else the chosen one, else the newest; None without any."""
    there = [run.id for run in runs]
    return next((one for one in (read_named(address, "run"), chosen, *there) if one in there), None)


def read_number(text: str | None, label: str, low: float, high: float, whole: bool = False) -> float | None:
    """A number as somebody typed it into the field of a label; None where the field is empty.

    Raises:
        InputError: if it is none, or lies outside of `low` to `high`.
    """
    if text is None or not text.strip():
        return None
    try:
        number = float(text.strip())
    except ValueError:
        number = float("nan")
    if not low <= number <= high or (whole and number != int(number)):
        kind = "a whole number" if whole else "a number"
        raise InputError(
            f"{label}: {text.strip()} is not allowed; give {kind} from {low:,g} to {high:,g}, or leave it empty."
        )
    return int(number) if whole else number
