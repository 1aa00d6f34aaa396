"""From values to what a page shows: escaped HTML. Pure; whatever a model or a file said stays text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from html import escape
from typing import Any
from urllib.parse import quote

from app.usecases.standing import Mark, RunningJob

_RINGS = {"todo": "&#9675;", "running": "&#9680;", "done": "&#9679;", "stale": "&#9676;"}
_LONG = 40
"""Characters from which on a column of text is kept wide."""
_SHORT = 24
"""Characters up to which a column of text stays on one line."""
_SAID = {"todo": "to do", "running": "running", "done": "done", "stale": "stale"}


def table_html(rows: Sequence[Mapping[str, Any]], caption: str = "", empty: str = "") -> str:
    """A table with the columns of its first row; numbers to the right; every cell escaped."""
    if not rows:
        return told_html(empty) if empty else ""
    names = list(rows[0])
    sides = {name: _side([row.get(name) for row in rows]) for name in names}
    head = "".join(f"<th scope='col'{sides[name]}>{escape(name.replace('_', ' '))}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td{sides[name]}>{_cell(row.get(name))}</td>" for name in names) + "</tr>" for row in rows
    )
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<div class='plain'><table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _side(values: Sequence[Any]) -> str:
    known = [value for value in values if value is not None]
    if known and all(_is_number(value) for value in known):
        return " class='right'"
    if all(len(_text(value)) <= _SHORT for value in values):
        return " class='short'"
    return " class='wide'" if any(len(_text(value)) > _LONG for value in values) else ""


def _text(value: Any) -> str:
    return value.text if isinstance(value, Opener) else value if isinstance(value, str) else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    if isinstance(value, Link):
        return f"<a href='{escape(value.href)}'>{escape(value.text)}</a>"
    if isinstance(value, Opener):
        return f"<button class='open' data-open='{escape(value.id)}'>{escape(value.text)}</button>"
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return escape(f"{value:.3f}" if isinstance(value, float) else str(value))


class Link:
    """A cell that leads somewhere inside the studio."""

    def __init__(self, text: str, path: str, project: str) -> None:
        """`path` of a page, for a project."""
        self.text = text
        self.href = page_url(path, project)


@dataclass(frozen=True)
class Opener:
    """A cell that opens a record on the same page; the table's component tells its id to whoever listens."""

    text: str
    id: str


def page_url(path: str, project: str) -> str:
    """The address of a page for a project."""
    return f"{path}?project={quote(project, safe='')}"


def told_html(message: str, bad: bool = False) -> str:
    """One message: what happened, what was kept, what to do."""
    role = "alert" if bad else "status"
    return f"<div class='told{' bad' if bad else ''}' role='{role}'>{escape(message)}</div>" if message else ""


def rail_html(marks: Sequence[Mark], project: str, here: str) -> str:
    """The steps of the work, the page one is on marked."""
    lines = [f"<div class='project'>{escape(project)}</div>" if project else ""]
    for mark in marks:
        current = " aria-current='page'" if mark.name == here else ""
        href = escape(page_url(mark.path, project) if project else mark.path)
        ring = f"<span title='{_SAID[mark.state]}' aria-label='{_SAID[mark.state]}'>{_RINGS[mark.state]}</span>"
        lines.append(
            f"<a href='{href}'{current}><span>{ring} {mark.name}</span>"
            f"<span class='number'>{escape(mark.number)}</span></a>"
        )
    return f"<nav class='rail' aria-label='Steps'>{''.join(lines)}</nav>"


def strip_html(jobs: Sequence[RunningJob]) -> str:
    """What runs at this moment, anywhere in the workspace."""
    if not jobs:
        return ""
    lines = []
    for job in jobs:
        share = f" {job.done:,} of {job.of:,}" if job.of else ""
        told = f"{job.project}: {job.kind} {job.status}{' · ' + job.told if job.told else ''}{share}"
        lines.append(f"<div>{escape(told)}{bar_html(job.done, job.of)}</div>")
    return f"<div class='strip' aria-live='polite'>{''.join(lines)}</div>"


def bar_html(done: int | None, of: int | None) -> str:
    """A bar of progress; none where it is not known how much there is."""
    if not of or done is None:
        return ""
    share = min(100.0, 100 * done / of)
    return (
        f"<div class='bar' role='progressbar' aria-valuenow='{share:.0f}' aria-valuemin='0' aria-valuemax='100'>"
        f"<span style='width:{share:.1f}%'></span></div>"
    )


def marked_html(first: tuple[str, str], second: tuple[str, str]) -> str:
    """Two (teacher, rationale) texts side by side, word by word what only one of them says marked."""
    (name, text), (other_name, other_text) = first, second
    words, other_words = text.split(), other_text.split()
    left: list[str] = []
    right: list[str] = []
    for kind, a, b, c, d in SequenceMatcher(None, words, other_words, autojunk=False).get_opcodes():
        mine, theirs = escape(" ".join(words[a:b])), escape(" ".join(other_words[c:d]))
        left.append(mine if kind == "equal" else f"<del>{mine}</del>" if mine else "")
        right.append(theirs if kind == "equal" else f"<ins>{theirs}</ins>" if theirs else "")
    sides = ((name, left), (other_name, right))
    parts = [f"<div><b>{escape(who)}</b><p>{' '.join(filter(None, said))}</p></div>" for who, said in sides]
    return f"<div class='pair'>{''.join(parts)}</div>"


def replies_html(rows: Sequence[Mapping[str, Any]]) -> str:
    """The last replies as text, newest first."""
    lines = [
        f"<div class='reply'><b>{escape(str(row['teacher']))}</b> {escape(str(row['error'] or 'good'))}\n"
        f"{escape(str(row['raw'])[:600])}</div>"
        for row in rows
    ]
    return "".join(lines)
