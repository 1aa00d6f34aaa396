"""Small tables: everything is on them at once, and nothing is sorted or searched. For the others see `listing`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from app.web.parts.links import Link
from app.web.parts.messages import notice_html

_LONG = 40
"""Characters from which on a column of text is kept wide."""
_SHORT = 26
"""Characters up to which a column of text stays on one line."""


@dataclass(frozen=True)
class Opener:
    """A cell that opens a record on the same page; the table's component tells its id to whoever listens."""

    text: str
    id: str


@dataclass(frozen=True)
class Spark:
    """A cell that draws a few numbers as a line, with the last one beside it."""

    values: Sequence[float]


@dataclass(frozen=True)
class Raw:
    """A cell that is HTML already, and is sorted out by the text it shows."""

    html: str
    text: str = ""


def table_html(rows: Sequence[Mapping[str, Any]], caption: str = "", empty: str = "", right: Sequence[str] = ()) -> str:
    """A table with the columns of its first row; numbers, and the columns named `right`, to the right.

    Every cell is escaped but for `Raw` ones.
    """
    if not rows:
        return notice_html(empty) if empty else ""
    names = list(rows[0])
    sides = {name: " class='right'" if name in right else side_of([row.get(name) for row in rows]) for name in names}
    head = "".join(f"<th scope='col'{sides[name]}>{escape(name.replace('_', ' '))}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td{sides[name]}>{cell_html(row.get(name))}</td>" for name in names) + "</tr>"
        for row in rows
    )
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    parts = f"{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f"<div class='plain' tabindex='0'><table>{parts}</table></div>"


def titled(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with the names of their columns as titles."""
    return [{name[:1].upper() + name[1:]: value for name, value in row.items()} for row in rows]


def side_of(values: Sequence[Any]) -> str:
    """The class of a column: numbers stand to the right, short texts on one line, long ones have room."""
    known = [value for value in values if value is not None]
    if known and all(_is_number(value) for value in known):
        return " class='right'"
    if all(len(text_of(value)) <= _SHORT for value in values):
        return " class='short'"
    return " class='wide'" if any(len(text_of(value)) > _LONG for value in values) else ""


def text_of(value: Any) -> str:
    """The text that a cell shows; "" of a number."""
    if isinstance(value, Spark):
        return " " * (_SHORT - 1)
    return value.text if isinstance(value, (Opener, Raw)) else value if isinstance(value, str) else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def cell_html(value: Any) -> str:
    """What a cell shows of a value."""
    if isinstance(value, Raw):
        return value.html
    if isinstance(value, Link):
        return f"<a href='{escape(value.href)}'>{escape(value.text)}</a>"
    if isinstance(value, Spark):
        return spark_html(value.values)
    if isinstance(value, Opener):
        return f"<button class='open' data-open='{escape(value.id)}'>{escape(value.text)}</button>"
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return escape(f"{value:.3f}" if isinstance(value, float) else str(value))


def spark_html(values: Sequence[float]) -> str:
    """Numbers as a small line, and the last of them."""
    if not values:
        return "-"
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    step = 80 / max(1, len(values) - 1)
    points = " ".join(f"{n * step:.1f},{18 - 16 * (value - low) / span:.1f}" for n, value in enumerate(values))
    said = "class='spark' viewBox='0 0 80 20' role='img' aria-label='loss by update'"
    return f"<svg {said}><polyline points='{points}'/></svg> {values[-1]:.3f}"
