"""What the parts of the page Select share: its settings as a form, and its numbers as a person reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.services import Services
from app.usecases.selection.calibration import Measured, say_measured
from app.usecases.selection.tallies import say_kept, say_notices
from app.web.choices import enable
from app.web.forms import lay_field
from app.web.parts.messages import notice_html
from app.web.parts.tables import table_html
from app.web.plots import histogram
from engine.config import read_config
from engine.errors import InputError, StateError
from engine.selection.factors import FACTORS
from engine.selection.rules import RULES
from engine.selection.settings import SelectionConfig
from engine.tasks import TASKS
from engine.values import Reason
from storage.projects import Project

_REASONS = {
    Reason.NO_CONFIDENCE: "no confidence: too little is known",
    Reason.TEACHERS_DIFFER: "its two teachers differ",
    Reason.LABELS_DISAGREE: "labels disagree, none is the majority's",
    Reason.LABEL_MINORITY: "label of a minority",
    Reason.REJECTED: "rejected by a rule",
    Reason.KEPT_UNSELECTED: "kept: there is no rule",
}
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
    `weights` are sliders by factor.
    """

    rules: gr.Dropdown
    fields: Mapping[str, Mapping[str, Any]]
    groups: Mapping[str, Any]
    weights: Mapping[str, gr.Slider]
    temperature: gr.Number

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
        """The components, and what shows the settings of the rules chosen."""
        return [*self.inputs, *self.groups.values()]

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
        shares = [
            round(weights.get(name, 0.0) / whole, 3) if name in own else gr.Slider(value=0.0, visible=False)
            for name in self.weights
        ]
        return [list(chosen), *fields, *shares, config.temperature, *self.show_groups(list(chosen))]

    def show_groups(self, chosen: Sequence[str] | None) -> list[Any]:
        """Each rule's settings, shown where it is chosen."""
        shown = chosen if isinstance(chosen, list) else []
        return [gr.Column(visible=kind in shown) for kind in self.groups]


def _demand(values: Mapping[str, Any]) -> None:
    empty = [name for name, value in values.items() if value is None]
    if empty:
        raise InputError(f"{' and '.join(empty)}: no number is given. Type one; nothing was changed meanwhile.")


def lay_rules() -> tuple[gr.Dropdown, dict[str, dict[str, Any]], dict[str, Any]]:
    """What chooses rules, and of each rule the components of its settings and what holds them."""
    kinds = sorted(RULES.names(), key=lambda kind: RULES.get(kind).stage)
    titles = [(RULES.get(kind).title, kind) for kind in kinds]
    begun = [rule.kind for rule in SelectionConfig().rules]
    label = "Rules, in their order (none: keep all)"
    rules = gr.Dropdown(titles, value=begun, multiselect=True, label=label)
    fields, groups = {}, {}
    for kind in kinds:
        rule = RULES.get(kind)
        with gr.Column(visible=kind in begun) as groups[kind]:
            gr.Markdown(f"**{rule.title}**: {rule.help}", elem_classes="help")
            fields[kind] = {
                name: lay_field(name, field, rule.choices.get(name))
                for name, field in rule.model_fields.items()
                if name != "kind"
            }
    return rules, fields, groups


def lay_weights() -> dict[str, gr.Slider]:
    """A slider a factor, two beside each other."""
    names, weights = list_factors(), {}
    listed = list(names)
    for pair in (listed[at : at + 2] for at in range(0, len(listed), 2)):
        with gr.Row():
            for name in pair:
                weights[name] = gr.Slider(0, 1, 0.0, step=_STEP, label=names[name], min_width=130)
    computed = [f"- {FACTORS.get(name).title}: {FACTORS.get(name).help}" for name in FACTORS]
    gr.Markdown("\n".join(["Teachers report the others; these are computed:", *computed]))
    return weights


def draw_numbers(services: Services, project: str, read: Callable[[], SelectionConfig]) -> list[Any]:
    """What these settings keep, as text and as a histogram, and the buttons that select and draw the overviews.

    Settings that can't be are told in the place of the numbers.
    """
    try:
        config = read()
        preview = services.select.preview(project, config)
        measured = services.calibrate.measure(project, config)
    except (StateError, InputError) as error:
        wrong = isinstance(error, InputError)
        can = enable(not wrong and services.select.has_samples(project), False)
        return [notice_html(str(error), bad=wrong), gr.Plot(visible=False), *can]
    drawn = gr.Plot(histogram(preview.histogram, config.cut), visible=config.needs_confidence)
    return [_numbers_html(preview.counts, measured), drawn, *enable(True, True)]


def _numbers_html(counts: dict[str, Any], measured: Measured | None) -> str:
    notices = "".join(map(notice_html, say_notices(counts)))
    warnings = "".join(
        notice_html(f"{row['teacher']}: {row['passed']:.0%} pass; the threshold separates nothing", bad=True)
        for row in counts["spread"]
        if not row["separates"]
    )
    kept = [{"teacher": name, "kept": number} for name, number in counts["kept_by_teacher"].items()]
    reasons = [{"reason": say_reason(name), "samples": number} for name, number in counts["reasons"].items()]
    tables = f"<div class='beside'>{table_html(reasons)}{table_html(kept)}</div>"
    return notice_html(say_kept(counts)) + notices + warnings + tables + _measured_html(measured)


def _measured_html(measured: Measured | None) -> str:
    if measured is None:
        return ""
    rows = [
        {
            "confidence": f"{row['from']:.1f} to {row['to']:.1f}",
            "samples": row["samples"],
            "mean": row["confidence"],
            "right": row["right"],
        }
        for row in measured.bins
    ]
    return notice_html("\n".join(say_measured(measured))) + table_html(rows)


def say_reason(reason: str | None) -> str:
    """A reason as a person reads it."""
    if reason is None:
        return "not selected yet"
    return _REASONS.get(Reason(reason), reason.replace("_", " "))
