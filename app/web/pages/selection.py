"""The settings of a selection as a form: rules in their order, weights that sum to 1, a temperature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from app.usecases.selection.weights import share_out
from app.web.fields import lay_html
from app.web.forms import lay_field
from app.web.parts.terms import explained_html
from engine.config import read_config
from engine.errors import InputError
from engine.selection.factors import FACTORS
from engine.selection.rules import RULES
from engine.selection.settings import SelectionConfig
from engine.tasks import TASKS
from storage.projects import Project

_STEP = 0.001
"""Of a weight."""


RAW = {"preprocess": False}
"""How handlers of settings are bound: gradio's own check of a slider fails with a traceback where its number was
cleared, so values come as they are, and the form checks them."""


def list_factors() -> dict[str, str]:
    """The factors that can be weighed, by name, as a person reads them: those of any task first."""
    reported = dict.fromkeys(name for task in TASKS.names() for name in TASKS.get(task).factors)
    return {name: name for name in reported} | {name: FACTORS.get(name).title for name in FACTORS.names()}


@dataclass(frozen=True)
class SelectionForm:
    """The settings of a selection as components.

    `rules` chooses rules by name; `fields` hold the settings of each, `groups` show them where the rule is chosen;
    `weights` are sliders by factor, `locks` says which of them stay where others move.
    """

    rules: gr.Dropdown
    fields: Mapping[str, Mapping[str, Any]]
    groups: Mapping[str, Any]
    weights: Mapping[str, gr.Slider]
    temperature: gr.Number
    locks: gr.CheckboxGroup

    @property
    def inputs(self) -> list[Any]:
        """The components, in their order."""
        fields = [part for parts in self.fields.values() for part in parts.values()]
        return [self.rules, *fields, *self.weights.values(), self.temperature]

    @property
    def immediate(self) -> list[Any]:
        """Those that move no other: all but the weights, which share what one of them leaves of 1."""
        return [part for part in self.inputs if part not in self.weights.values()]

    @property
    def outputs(self) -> list[Any]:
        """The components, what shows the settings of the rules chosen, and the locks."""
        return [*self.inputs, *self.groups.values(), self.locks]

    def read(self, values: Sequence[Any]) -> SelectionConfig:
        """The settings. A weight of 0 is left out.

        Raises:
            InputError: if a number is missing, or the settings can't be together.
        """
        chosen, *rest = values
        if not isinstance(chosen or [], list) or any(kind not in self.fields for kind in chosen or []):
            raise InputError("Rules: choose among those that are listed.")
        rules = []
        for kind, parts in self.fields.items():
            mine, rest = rest[: len(parts)], rest[len(parts) :]
            if kind in (chosen or ()):
                _demand({part.label: value for part, value in zip(parts.values(), mine, strict=True)})
                rules.append({"kind": kind, **dict(zip(parts, mine, strict=True))})
        *weights, temperature = rest
        names = list_factors()
        _demand({names[name]: value for name, value in zip(self.weights, weights, strict=True)})
        _demand({"temperature": temperature})
        given = {name: weight for name, weight in zip(self.weights, weights, strict=True) if weight}
        weighed = given or dict.fromkeys(list(self.weights)[:1], 0.0)
        rules.sort(key=lambda rule: chosen.index(rule["kind"]))
        return read_config(SelectionConfig, {"weights": weighed, "temperature": temperature, "rules": rules})

    def show(self, project: Project, config: SelectionConfig) -> list[Any]:
        """What `outputs` show of settings; weights sum to 1. Rules that are not chosen keep what they show.

        Factors that teachers report for other tasks alone are hidden.
        """
        weights = config.weights or dict.fromkeys(TASKS.get(project.config.task).factors, 1.0)
        whole = sum(weights.values())
        chosen = {rule.kind: rule for rule in config.rules}
        fields = [
            getattr(chosen[kind], name) if kind in chosen else gr.skip()
            for kind, parts in self.fields.items()
            for name in parts
        ]
        own = {*TASKS.get(project.config.task).factors, *FACTORS.names(), *weights}
        parts = share_out([weights.get(name, 0.0) / whole for name in self.weights], _heaviest(weights, self.weights))
        shares = [
            part if name in own else gr.Slider(value=0.0, visible=False)
            for name, part in zip(self.weights, parts, strict=True)
        ]
        names = list_factors()
        locks = gr.CheckboxGroup([(say(names[name]), name) for name in self.weights if name in own], value=[])
        return [list(chosen), *fields, *shares, config.temperature, *self.show_groups(list(chosen)), locks]

    def balance(self, values: Sequence[Any], moved: int, locked: Any) -> list[Any]:
        """What `inputs` hold once the weight at a place was moved: the others share what it leaves, but locked ones.

        Values that hold no number everywhere are left as they are; reading them says what is wrong.
        """
        weights = self.weights_of(values)
        if any(isinstance(weight, bool) or not isinstance(weight, (int, float)) for weight in weights):
            return list(values)
        names = list(self.weights)
        places = [names.index(name) for name in locked if name in names] if isinstance(locked, list) else []
        return [*values[: -len(weights) - 1], *share_out(weights, moved, places), values[-1]]

    def weights_of(self, values: Sequence[Any]) -> list[Any]:
        """Of what `inputs` hold, the weights."""
        return list(values[len(self.inputs) - len(self.weights) - 1 : -1])

    def show_groups(self, chosen: Sequence[str] | None) -> list[Any]:
        """Each rule's settings, shown where it is chosen."""
        shown = chosen if isinstance(chosen, list) else []
        return [gr.Column(visible=kind in shown) for kind in self.groups]


def _demand(values: Mapping[str, Any]) -> None:
    empty = [name for name, value in values.items() if value is None]
    if empty:
        raise InputError(f"{' and '.join(empty)}: no number is given. Type one; nothing was changed meanwhile.")


def _heaviest(weights: Mapping[str, float], names: Mapping[str, Any]) -> int:
    """The place of the greatest weight."""
    listed = list(names)
    return listed.index(max(weights, key=lambda name: weights[name]))


def say(title: str) -> str:
    """A title as it begins a label."""
    return title[:1].upper() + title[1:]


def lay_rules() -> tuple[gr.Dropdown, dict[str, dict[str, Any]], dict[str, Any]]:
    """What chooses rules, and of each rule the components of its settings and what holds them."""
    kinds = sorted(RULES.names(), key=lambda kind: RULES.get(kind).stage)
    titles = [(say(RULES.get(kind).title), kind) for kind in kinds]
    begun = [rule.kind for rule in SelectionConfig().rules]
    rules = gr.Dropdown(titles, value=begun, multiselect=True, label="Rules, in their order", info="None: keep all.")
    fields, groups = {}, {}
    for kind in kinds:
        rule = RULES.get(kind)
        with gr.Column(visible=kind in begun) as groups[kind]:
            fields[kind] = {
                name: lay_field(name, field, rule.choices.get(name))
                for name, field in rule.model_fields.items()
                if name != "kind"
            }
            lay_html(f"<p class='quiet'>{escape(rule.help)}</p>", elem_classes="help")
    return rules, fields, groups


def lay_weights() -> tuple[dict[str, gr.Slider], gr.CheckboxGroup]:
    """A slider a factor, what rests on other evidence folded away, and the locks."""
    names = list_factors()
    weights: dict[str, gr.Slider] = {}
    lay_html(
        "<p class='quiet'>They sum to 1: what one takes, the others give up in proportion. "
        f"To lower the only one there is, raise another. {explained_html('Dawid-Skene')} needs three teachers.</p>"
    )
    apart = [name for name in names if name in FACTORS.names() and not FACTORS.get(name).votes]
    for name in (name for name in names if name not in apart):
        weights[name] = _lay_weight(name, names[name])
    with gr.Accordion("More factors", open=False):
        for name in apart:
            weights[name] = _lay_weight(name, names[name])
    locks = gr.CheckboxGroup([], label="Locked weights", info="They stay where another one moves.")
    return {name: weights[name] for name in names}, locks


def _lay_weight(name: str, title: str) -> gr.Slider:
    info = FACTORS.get(name).help if name in FACTORS.names() else None
    return gr.Slider(0, 1, 0.0, step=_STEP, label=say(title), info=info, buttons=[])
