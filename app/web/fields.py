"""What fields hold, looked at before a handler is given it: numbers in their range, choices among those there are."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr
import gradio.blocks
from gradio.exceptions import InvalidPathError

from engine.errors import say_error, where_it_failed
from engine.wording import range_text

_LOG = logging.getLogger(__name__)
_CHOOSERS = (gr.Dropdown, gr.CheckboxGroup, gr.Radio)


def lay_html(value: str = "", **given: Any) -> gr.HTML:
    """A component of our own parts: without gradio's margins, and without its looks of tables, lists and buttons.

    `value` is HTML; `given` are other arguments of gradio's component.
    """
    return gr.HTML(value, padding=False, apply_default_css=False, **given)


class Pages(gr.Blocks):  # type: ignore[misc]
    """The app, which says in words what a field can't hold; gradio's own words are about its parts, not about fields.

    A number field that begins filled must stay filled, one that begins empty may be left so.
    Its server is made once, by `launch`: by itself gradio makes one at the end of each page, for all pages so far.
    """

    def __exit__(self, kind: type[BaseException] | None = None, *rest: Any) -> None:
        """Leave a page, nothing being made of it yet."""
        if kind is None:
            self.fill_expected_parents()
        super().__exit__(kind or GeneratorExit, *rest)

    def queue(self, *words: Any, **given: Any) -> Pages:
        """The app that is made of all pages. gradio asks for it at its beginning too, when there is no page yet."""
        with _no_server():
            if self.blocks:
                self.__enter__()
                super().__exit__()
            super().queue(*words, **given)
        return self

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], state: Any, explicit_call: bool = False) -> Any:
        """What the handler is given, once every field was looked at.

        Raises:
            gr.Error: naming the field and what it takes.
        """
        checked = block_fn.inputs if block_fn.preprocess else ()  # who takes values as they come looks at them itself
        for part, value in zip(checked, inputs, strict=False):
            now = state[part._id] if state is not None and part._id in state else part
            message = look_at(part, now, value)
            if message:
                raise gr.Error(f"{message} Nothing was done.", duration=None, print_exception=False)
        try:
            return await super().preprocess_data(block_fn, inputs, state, explicit_call)
        except gr.Error:
            raise
        except InvalidPathError:
            _LOG.warning("a path that was not uploaded was refused")
            message = "This file was not uploaded here: choose it again. Nothing was done."
            raise gr.Error(message, duration=None, print_exception=False) from None
        except Exception as error:  # noqa: BLE001 - whatever it is, a person is told in words
            _LOG.error("a page's fields could not be read: %s", where_it_failed(error))
            raise gr.Error(say_error(error), duration=None, print_exception=False) from None


@contextmanager
def _no_server() -> Iterator[None]:
    """Pages that are finished in this block get no server yet."""
    made = gradio.blocks.App
    gradio.blocks.App = _NoServer
    try:
        yield
    finally:
        gradio.blocks.App = made


class _NoServer:
    """Stands where `gradio.routes.App` does, and makes none."""

    @staticmethod
    def create_app(*_: Any, **__: Any) -> None:
        """No server."""


def look_at(part: Any, now: Any, value: Any) -> str:
    """What is wrong with the value of a field, or "". `part` is the field as it was laid out, `now` as it is now."""
    if isinstance(part, (gr.Number, gr.Slider)):
        return _look_at_number(part, now, value)
    if isinstance(part, _CHOOSERS) and not getattr(part, "allow_custom_value", False):
        known = {choice for _, choice in now.choices}
        chosen = value if isinstance(value, list) else [] if value is None else [value]
        if any(not isinstance(one, (str, int, float)) or one not in known for one in chosen):
            return f"{part.label}: the chosen value is no longer available; load the page again."
    return ""


def _look_at_number(part: Any, now: Any, value: Any) -> str:
    low, high = now.minimum, now.maximum
    whole = part.precision == 0
    advice = f"{part.label}: give a {'whole ' if whole else ''}number{range_text(low, high)}"
    if value in (None, ""):
        needed = isinstance(part, gr.Slider) or part.value is not None
        return f"{advice}; the field is empty." if needed else ""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"{advice}."
    outside = (low is not None and value < low) or (high is not None and value > high)
    return f"{advice}; {value:,g} was given." if outside or (whole and value != int(value)) else ""
