"""Forms: components bound to one model of settings, so that no handler counts positions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar, get_args, get_origin

import gradio as gr
from pydantic.fields import FieldInfo

from engine.wording import bounds_of

M = TypeVar("M")
M_co = TypeVar("M_co", covariant=True)


class Form(Protocol[M_co]):
    """Components that hold the settings of one model, in the order in which a page sends their values."""

    @property
    def inputs(self) -> Sequence[Any]: ...

    def read(self, values: Sequence[Any]) -> M_co:
        """The settings that the components' values stand for.

        Raises:
            InputError: if one is empty or wrong; the message names it as its label does.
        """
        ...


@dataclass(frozen=True)
class Entered(Generic[M]):
    """What a person entered into a form, not looked at yet."""

    values: Sequence[Any]
    _read: Callable[[Sequence[Any]], M]

    def read(self) -> M:
        """The settings. Raises as `Form.read`."""
        return self._read(self.values)


@dataclass(frozen=True)
class NamedForm(Generic[M]):
    """A form whose components go by names: `make` reads the values by these names, and raises as `Form.read`."""

    parts: Mapping[str, Any]
    make: Callable[[dict[str, Any]], M]

    @property
    def inputs(self) -> list[Any]:
        """The components, in their order."""
        return list(self.parts.values())

    def read(self, values: Sequence[Any]) -> M:
        return self.make(dict(zip(self.parts, values, strict=True)))


def enter(form: Form[M], values: Sequence[Any]) -> tuple[Entered[M], Sequence[Any]]:
    """What the first values are in a form, and the values behind them."""
    size = len(form.inputs)
    return Entered(values[:size], form.read), values[size:]


def lay_field(name: str, field: FieldInfo, choices: Mapping[str, str] | None = None) -> Any:
    """A component for a setting: a list for choices, a slider between two bounds, a box for anything else.

    `choices` are labels by value; the label is the field's title.
    """
    label, default = field.title or name.replace("_", " "), field.get_default()
    if get_origin(field.annotation) is Literal:
        values = get_args(field.annotation)
        return gr.Dropdown([((choices or {}).get(v, v), v) for v in values], value=default, label=label)
    if field.annotation is bool:
        return gr.Checkbox(default, label=label)
    low, high, *_ = bounds_of(field)
    whole = field.annotation is int
    if field.annotation in (int, float) and low is not None and high is not None:
        return gr.Slider(low, high, default, step=1 if whole else (high - low) / 200, label=label)
    if field.annotation in (int, float):
        return gr.Number(default, label=label, precision=0 if whole else None)
    return gr.Textbox(default, label=label, info=field.description)
