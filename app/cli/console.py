"""How results look in a terminal. Tables go to standard output, progress to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, is_dataclass
from typing import Any, Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from app.cli.enter import can_press, on_enter
from app.usecases.labelling.waits import read_wait, say_wait
from engine.foreign import plain, plain_json
from engine.values import Event

_SHORT = 25
"""Cells of at most this many characters are not broken over lines."""
_FIRST = 36
"""The same for the first column; a longer one is wrapped, or the columns behind it would be cut."""


class _Plain(Console):
    """A console that draws what it is given, and obeys nothing that stands in it: much of it is what others wrote."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """The segments of what is drawn, without control characters in their texts."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(plain(segment.text), segment.style)


out = _Plain(highlight=False, markup=False)
err = _Plain(stderr=True, highlight=False, markup=False)


def print_json(data: Any) -> None:
    """Print one JSON value on standard output."""
    text = json.dumps(data, ensure_ascii=False, indent=2, default=_as_json)
    sys.stdout.write(plain_json(text) + "\n")


def _as_json(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)


def print_table(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print rows with the columns of the first; text of strangers is never read as markup."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 0), pad_edge=False)
    for place, name in enumerate(rows[0] if rows else ()):
        side: Literal["left", "right"] = "right" if _numeric(rows[0][name]) else "left"
        whole = max(len(_show(row[name])) for row in rows) <= (_SHORT if place else _FIRST)
        table.add_column(name.replace("_", " "), justify=side, overflow="fold", no_wrap=whole)
    for row in rows:
        table.add_row(*(Text(_show(value)) for value in row.values()))
    out.print(table if rows else f"{title}: none")


def _numeric(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _show(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


class EventBars:
    """Progress bars fed by events; use as a context manager. Silent where standard error is no terminal."""

    def __init__(self, quiet: bool = False, go_on: Callable[[], object] | None = None) -> None:
        """`quiet` draws nothing. `go_on` ends waits that providers asked for; Enter does that in a terminal."""
        self._go_on = go_on
        self._open = ExitStack()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
        )
        self._bars = Progress(*columns, TimeElapsedColumn(), console=err, disable=quiet or not err.is_terminal)
        self._tasks: dict[str, TaskID] = {}
        self._label: TaskID | None = None
        self._asked: set[str] = set()
        self._failed: set[str] = set()
        self._cost = 0.0
        self._handlers: dict[str, Callable[[Event], None]] = {
            "metric": self._on_metric,
            "progress": self._on_progress,
            "step_started": self._on_started,
            "label_started": self._on_label,
            "grade_started": self._on_label,
            "reply": self._on_reply,
            "teacher_stopped": self._on_stopped,
            "waits": self._on_waits,
            "step_finished": self._on_finished,
        }

    def __enter__(self) -> EventBars:
        """Start drawing."""
        if self._go_on is not None:
            self._open.enter_context(on_enter(self._go_on))
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop drawing; the bars stay."""
        self._bars.stop()
        self._open.close()

    def __call__(self, event: Event) -> None:
        """Take an event in."""
        handler = self._handlers.get(event.type)
        if handler is not None:
            handler(event)

    def _task(self, step: str) -> TaskID:
        if step not in self._tasks:
            self._tasks[step] = self._bars.add_task(step, total=None, note="")
        return self._tasks[step]

    def _on_label(self, event: Event) -> None:
        what = f"label {event.data['split']}" if "split" in event.data else "grade"
        self._label = self._bars.add_task(what, total=event.data["requests"], note="")
        self._asked, self._failed, self._cost = set(), set(), 0.0

    def _on_reply(self, event: Event) -> None:
        if self._label is None:
            return
        sample = event.data["sample_id"]
        self._asked.add(sample)
        self._failed.discard(sample) if event.data["error"] is None else self._failed.add(sample)
        self._cost += float(event.data.get("cost") or 0)
        notes = [f"{len(self._failed)} failed"] if self._failed else []
        notes += [f"${self._cost:.4f}"] if self._cost else []
        self._bars.update(self._label, completed=len(self._asked), note=" · ".join(notes))

    def _on_stopped(self, event: Event) -> None:
        self._bars.console.print(Text(f"{event.data['teacher']} is not asked any more: {event.data['message']}"))

    def _on_waits(self, event: Event) -> None:
        wait = read_wait(event)
        if wait.seconds:
            can = self._go_on is not None and can_press()
            how = "Enter asks again now." if can else "Ctrl-C ends it; the same command again asks at once."
            self._bars.console.print(Text(f"{say_wait(str(event.data['teacher']), wait)}. {how}"))

    def _on_started(self, event: Event) -> None:
        self._task(event.data["step"])

    def _on_metric(self, event: Event) -> None:
        values = event.data["values"]
        if "loss" in values:
            rate = values.get("tokens_per_second")
            note = f"loss {values['loss']:.3f}" + (f" · {rate:.0f} tokens/s" if rate else "")
            self._bars.update(
                self._task(event.data["step"]), completed=event.data["update"], total=event.data["of"], note=note
            )

    def _on_progress(self, event: Event) -> None:
        self._bars.update(self._task(event.data["step"]), completed=event.data["done"], total=event.data["of"])

    def _on_finished(self, event: Event) -> None:
        task = self._task(event.data["step"])
        total = next((item.total for item in self._bars.tasks if item.id == task), None) or 1
        self._bars.update(task, completed=total, total=total)
