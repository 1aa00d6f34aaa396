"""Values of the form of selection, as a page sends them."""

from __future__ import annotations

from functools import cache
from typing import Any

import gradio as gr

from app.usecases.playground.answers import PlayOrder
from app.web.evaluation_form import Valuation, read_valuation
from app.web.forms import Entered, NamedForm
from app.web.pages.exports import Chosen
from app.web.pages.orders import lay_order
from app.web.pages.selection import SelectionForm, lay_rules, lay_weights
from engine.config import ProjectConfig
from engine.plans.order import PlanOrder
from engine.selection.settings import SelectionConfig
from storage.projects import Project


@cache
def make_form() -> SelectionForm:
    with gr.Blocks():
        rules, (weights, locks) = lay_rules(), lay_weights()
        return SelectionForm(*rules, weights, gr.Number(label="temperature"), locks)


def send_settings(config: SelectionConfig | None = None, **changed: Any) -> list[Any]:
    """What a page sends of settings; `changed` are values by a field's or a factor's name, `rules` or `temperature`."""
    form, settings = make_form(), config or SelectionConfig()
    names = ["rules", *(name for parts in form.fields.values() for name in parts), *form.weights, "temperature"]
    shown = form.show(Project("p", ProjectConfig(name="p", task="custom")), settings)
    values = {
        name: value.value if isinstance(value, gr.Slider) else part.value if isinstance(value, dict) else value
        for name, part, value in zip(names, form.inputs, shown, strict=False)
    }
    assert changed.keys() <= values.keys()
    return list((values | changed).values())


def enter_settings(config: SelectionConfig | None = None, **changed: Any) -> Entered[SelectionConfig]:
    return Entered(send_settings(config, **changed), make_form().read)


def order_form() -> NamedForm[PlanOrder]:
    with gr.Blocks():
        return lay_order(None)


def enter_order(*values: Any) -> Entered[PlanOrder]:
    return Entered(values, order_form().read)


def enter_question(text: str, *ids: str, blind: bool = False) -> Entered[PlayOrder]:
    """What the Playground sends where these are asked."""
    return Entered((text, list(ids), blind), lambda values: PlayOrder(*values))


def enter_valuation(run: str, hour: str = "") -> Entered[Valuation]:
    """What Evaluate sends of a run at a price of the device's hour, and nothing else."""
    named = {"run": run, "hour": hour, "margin": "", "student": None, "teacher": None}
    return Entered(tuple(named.values()), lambda _: read_valuation(named))


def enter_chosen(run: str | None, stage: str | None) -> Entered[Chosen]:
    """What Exports sends of a stage of a run before any button is pressed."""
    return Entered((), lambda _: Chosen(run, stage))
