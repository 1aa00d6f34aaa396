"""From values to what a page shows: escaped HTML. Pure; whatever a model or a file said stays text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from html import escape
from typing import Any
from urllib.parse import quote

from app.usecases.playground.answers import Pane
from app.usecases.projects.status import Mark, RunningJob
from engine.datasets import DATASETS
from engine.plans import Answer, AnyStep, Compress, Evaluate, Plan, Train
from engine.wording import counted

_RINGS = {"todo": "&#9675;", "running": "&#9680;", "done": "&#9679;", "stale": "&#9676;"}
_LONG = 40
"""Characters from which on a column of text is kept wide."""
_SHORT = 26
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
    if isinstance(value, Spark):
        return " " * (_SHORT - 1)
    return value.text if isinstance(value, Opener) else value if isinstance(value, str) else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _cell(value: Any) -> str:
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


class Link:
    """A cell that leads somewhere inside the studio."""

    def __init__(self, text: str, path: str, project: str) -> None:
        """`path` of a page, for a project ("": for none)."""
        self.text = text
        self.href = page_url(path, project) if project else path


@dataclass(frozen=True)
class Opener:
    """A cell that opens a record on the same page; the table's component tells its id to whoever listens."""

    text: str
    id: str


@dataclass(frozen=True)
class Spark:
    """A cell that draws a few numbers as a line, with the last one beside it."""

    values: Sequence[float]


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


def log_html(text: str) -> str:
    """Lines of a log as they are."""
    return (
        f"<pre class='log'>{escape(text)}</pre>" if text else told_html("No worker of this run has printed anything.")
    )


def stages_html(plan: Plan) -> str:
    """A plan as the stages it goes through."""
    own = f" by its own rules: {plan.selection.title}" if plan.selection else ""
    parts = [f"<li>select{escape(own)}</li>"] + [
        f"<li title='{escape(step.name)}'>{escape(_say_step(step))}</li>" for step in plan.steps
    ]
    return f"<ol class='stages' aria-label='Steps of the plan'>{''.join(parts)}</ol>"


def _say_step(step: AnyStep) -> str:
    if isinstance(step, Train):
        epochs = f"{step.train.epochs:g} {'epoch' if step.train.epochs == 1 else 'epochs'}"
        size = counted(step.train.updates, "update") if step.train.updates else epochs
        size = f"{step.train.tokens:,} training tokens" if step.train.tokens else size
        taught = DATASETS.get(step.dataset).title if step.dataset in DATASETS.names() else step.dataset
        size = "equal updates" if step.equal_updates_to else size
        return f"{step.name}: {taught}, {size}, rate {step.train.learning_rate:g}"
    if isinstance(step, Answer):
        return "the student answers"
    if isinstance(step, Compress):
        return "the teacher compresses"
    if isinstance(step, Evaluate):
        return f"score {step.system}"
    return "you review" if step.approve == "person" else "all are approved"


def page_url(path: str, project: str) -> str:
    """The address of a page for a project."""
    return f"{path}?project={quote(project, safe='')}"


def told_html(message: str, bad: bool = False) -> str:
    """One message: what happened, what was kept, what to do."""
    role = "alert" if bad else "status"
    return f"<div class='told{' bad' if bad else ''}' role='{role}'>{escape(message)}</div>" if message else ""


def note_html(message: str, link: Link, kind: str) -> str:
    """What is said above a page, with where to go; `kind` is a class of its own."""
    return (
        f"<div class='told {escape(kind)}' role='note'>{escape(message)}"
        f"<a href='{escape(link.href)}'>{escape(link.text)}</a>.</div>"
    )


def links_html(title: str, links: Sequence[tuple[Link, str]]) -> str:
    """A list of pages, each with what is there."""
    lines = [f"<li><a href='{escape(to.href)}'>{escape(to.text)}</a> {escape(text)}</li>" for to, text in links]
    return f"<div class='way'><b>{escape(title)}</b><ol>{''.join(lines)}</ol></div>"


def guide_html(message: str, *ways: Link) -> str:
    """One message, and below it where to go from here."""
    links = " ".join(f"<a href='{escape(way.href)}'>{escape(way.text)}</a>" for way in ways)
    return f"<div class='told' role='status'>{escape(message)}<div class='ways'>{links}</div></div>"


def rail_html(marks: Sequence[Mark], project: str, here: str, title: str = "") -> str:
    """The steps of the work, the page one is on marked. `title`: what the project is called above them."""
    lines = [f"<div class='project'>{escape(title or project)}</div>" if project else ""]
    fold = (
        "<input type='checkbox' id='rail-fold' class='fold'>"
        f"<label for='rail-fold' class='fold'>{escape(title or project or 'Tacit')} · {escape(here)}</label>"
    )
    for mark in marks:
        current = " aria-current='page'" if mark.name == here else ""
        href = escape(page_url(mark.path, project) if project else mark.path)
        ring = f"<span title='{_SAID[mark.state]}' aria-label='{_SAID[mark.state]}'>{_RINGS[mark.state]}</span>"
        lines.append(
            f"<a href='{href}'{current}><span>{ring} {mark.name}</span>"
            f"<span class='number'>{escape(mark.number)}</span></a>"
        )
    return f"{fold}<nav class='rail' aria-label='Steps'>{''.join(lines)}</nav>"


def strip_html(jobs: Sequence[RunningJob], trouble: str = "") -> str:
    """What runs at this moment, anywhere in the workspace, and what is wrong with the watch over it."""
    if not jobs and not trouble:
        return ""
    lines = [f"<div role='alert'>{escape(trouble)}</div>"] if trouble else []
    for job in jobs:
        share = f" {job.done:,} of {job.of:,}" if job.of else ""
        text = f"{job.project}: {job.kind} {job.status}{' · ' + job.text if job.text else ''}{share}"
        lines.append(f"<div>{escape(text)}{bar_html(job.done, job.of)}</div>")
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


def columns_html(columns: Sequence[tuple[str, str]]) -> str:
    """Texts side by side, each below its head; on a narrow screen one below the other."""
    parts = [f"<div><b>{escape(head)}</b><p>{escape(text)}</p></div>" for head, text in columns]
    return f"<div class='columns'>{''.join(parts)}</div>"


def panes_html(panes: Sequence[Pane]) -> str:
    """Answers side by side, with tokens, time and money under each."""
    parts = []
    for pane in panes:
        facts = [
            None if pane.tokens is None else counted(pane.tokens, "token"),
            None if pane.seconds is None else f"{pane.seconds:.1f} s",
            None if pane.cost is None else f"${pane.cost:.4f}",
            None if pane.over else "...",
        ]
        under = " · ".join(filter(None, facts))
        silent = "(it wrote nothing)" if pane.over and not pane.message else ""
        message = told_html(pane.message) if pane.message else ""
        parts.append(
            f"<div class='pane'><b>{escape(pane.name)}</b><p>{escape(pane.text or silent)}</p>{message}"
            f"<div class='facts'>{escape(under)}</div></div>"
        )
    return f"<div class='columns' aria-live='polite'>{''.join(parts)}</div>"


def replies_html(rows: Sequence[Mapping[str, Any]]) -> str:
    """The last replies as text, newest first."""
    lines = [
        f"<div class='reply'><b>{escape(str(row['teacher']))}</b> {escape(str(row['error'] or 'good'))}\n"
        f"{escape(str(row['raw'])[:600])}</div>"
        for row in rows
    ]
    return "".join(lines)
