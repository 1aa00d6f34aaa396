"""What Evaluate is asked with: a run, prices, who against whom, and how much accuracy may be lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.usecases.evaluation.comparisons import ASSUMED_HOUR
from app.web.fields import lay_html
from engine.costs import Price
from engine.errors import InputError

PRICED = 8
"""Teachers whose list price has a field; of further ones the product's holds."""


@dataclass(frozen=True)
class Valuation:
    """What the page is asked: of which run, at which prices, who against whom, and how much may be lost."""

    run: str | None
    device_hour: float | None
    """US dollars."""
    prices: tuple[str, ...]
    """List prices as they were typed, in the order of the run's teachers that bill nothing."""
    margin: str
    """Points of a hundred, as typed."""
    student: str | None
    teacher: str | None


def read_valuation(named: dict[str, Any]) -> Valuation:
    """What was entered. Raises InputError if the device's price is no amount."""
    prices = tuple(str(value or "") for name, value in named.items() if name.startswith("price "))
    hour = read_price(named["hour"])
    return Valuation(named["run"], hour, prices, named["margin"] or "", named["student"], named["teacher"])


def lay_head() -> list[Any]:
    """Which run, at which price of the device, and how far below the best a shorter student may lie."""
    with gr.Row():
        run = gr.Dropdown([], label="Run", interactive=True, scale=2, min_width=220)
        hour = lay_hour()
        margin = gr.Textbox(
            label="Allowed loss (points)", info="against the best, to ship a shorter one", max_length=10, min_width=140
        )
        save = gr.Button("Download report", interactive=False)
    return [run, hour, margin, save]


def lay_hour() -> Any:
    """The price of an hour of the device."""
    return gr.Textbox(
        f"{ASSUMED_HOUR:.2f}",
        label="Device price ($/h)",
        info="assumed; put yours",
        placeholder="unknown",
        max_length=20,
        min_width=140,
    )


def lay_pay_back() -> tuple[Any, Any, list[Any], Any]:
    """Which student instead of which teacher, at which list prices, and what that comes to."""
    lay_html("<h2>When it pays back</h2>")
    with gr.Row():
        student = gr.Dropdown([], label="Student", interactive=True, min_width=160)
        teacher = gr.Dropdown([], label="Instead of", interactive=True, min_width=160)
        prices = [
            gr.Textbox(
                label="List price",
                info="assumed list price; put yours",
                placeholder="unknown",
                max_length=40,
                min_width=160,
                visible=False,
            )
            for _ in range(PRICED)
        ]
    return student, teacher, prices, lay_html()


def read_price(text: str | None) -> float | None:
    """An amount of US dollars as somebody typed it; None where nothing was.

    Raises:
        InputError: if it is no amount.
    """
    if text is None or not text.strip():
        return None
    try:
        amount = float(text.strip().removeprefix("$"))
    except ValueError:
        amount = -1.0
    if not 0 <= amount < 1e9:
        raise InputError(f"{text}: give an amount in US dollars as 0.80, or leave it empty for unknown.")
    return amount


def read_points(text: str | None) -> float:
    """A margin in points of a hundred as somebody typed it, as a share.

    Raises:
        InputError: if it is none.
    """
    try:
        points = float((text or "").strip().removesuffix("%"))
    except ValueError:
        points = -1.0
    if not 0 <= points <= 100:
        raise InputError("Give the points as a number from 0 to 100, as 2; until then the earlier margin holds.")
    return points / 100


def say_price(price: Price | None) -> str:
    return "" if price is None else f"{price.input_usd:.2f} / {price.output_usd:.2f}"
