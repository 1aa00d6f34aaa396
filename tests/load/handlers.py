"""What each page's handlers take on a store of a million samples: `python -m tests.load.handlers [SAMPLES] [FOLDER]`.

Seeds a workspace (one that lies in FOLDER already is taken as it is), brings the shipped demo beside it, and calls what
fills each page by itself: when it is opened, when its address changes, and at each tick. Every handler is called once
before anything is measured, then behind a write to the samples (as labelling writes), behind an event of a job, and
again. Prints, a row a page, the slowest handler and the 95th percentile over all calls, each as time on the clock and
as this process's own processor time, which other programs on the machine don't change; and what moving the threshold of
Select takes. Loopback is not involved.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from app.hosted_demo.shipped_project import NAME, bring_shipped
from app.services import Services, open_services
from app.web.main import build_app
from engine.selection.settings import dcrs
from tests.load.visit import PROJECT, TEACHERS, seed

ROUNDS = 3
_LISTED = {"data", "select", "label", "compress", "train", "evaluate", "jobs"}


@dataclass
class Took:
    """Calls of a page's handlers: seconds on the clock and of processor time, by handler: the first one, behind a write
    to the samples, behind an event, and again.
    """

    first: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    cold: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    event: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    warm: dict[str, list[tuple[float, float]]] = field(default_factory=dict)


def main(samples: int, folder: Path) -> None:
    """Seed, call, print."""
    if not (folder / "tacit.duckdb").exists():
        began = time.perf_counter()
        seed(folder, samples)
        print(f"seeded {samples:,} samples in {time.perf_counter() - began:.0f} s", flush=True)
    with open_services(folder) as services:
        if NAME not in services.projects.names():
            bring_shipped(services, NAME)
        app = build_app(services)
        load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
        print(f"{samples:,} samples, {os.cpu_count()} processors, load {load}; milliseconds, clock (processor)")
        print(f"{'page':22} {'first':>16} {'behind samples, p95':>20} {'an event':>14} {'again':>14}  slowest")
        for project in (PROJECT, NAME):
            for path, title, _ in app.pages:
                told = Took()
                for name, work, values in fillers(services, app, path, project):
                    call(services, name, work, values, told)
                show(f"{project}: {title}", told)
        move_threshold(services, samples)


def fillers(
    services: Services, app: gr.Blocks, path: str, project: str
) -> Iterator[tuple[str, Callable[..., Any], list[Any]]]:
    """What fills a page by itself, with the values that its fields begin with, and a few addresses of its list."""
    runs = services.reading.runs_of(services.projects.get(project).id)
    middle = services.queries.totals(project).total // 100
    asked = ["", f"?page={middle}", "?q=7", "?sort=-text"] if path in _LISTED else [""]
    for event in app.fns.values():
        if event.page != path or event.fn is None or not {"load", "tick"} & {name for _, name in event.targets}:
            continue
        for address in asked:
            values = [_value(part, runs) for part in event.inputs]
            values[0] = project
            at = [n for n, part in enumerate(event.inputs) if "address" in (getattr(part, "elem_classes", None) or ())]
            for place in at:
                values[place] = address
            if at or not address:
                yield f"{event.fn.__name__} {address}".strip(), event.fn, values


def _value(part: Any, runs: list[Any]) -> Any:
    """What a field holds when its page was opened: of runs the newest."""
    label = getattr(part, "label", None)
    if label in ("Run", "Open run"):
        return runs[0].id if runs else None
    return getattr(part, "value", None)


def call(services: Services, name: str, work: Callable[..., Any], values: list[Any], told: Took) -> None:
    """One handler, behind writes and again."""
    told.first[name] = [measure(work, values)]
    for _ in range(ROUNDS):
        with services.context.db.write() as writer:
            writer.run("UPDATE samples SET draw = draw WHERE id = (SELECT min(id) FROM samples)")
        told.cold.setdefault(name, []).append(measure(work, values))
        with services.context.db.write() as writer:
            writer.run("INSERT INTO events SELECT 'load', coalesce(max(seq), 0) + 1, 'progress', 0, '{}' FROM events")
        told.event.setdefault(name, []).append(measure(work, values))
        told.warm.setdefault(name, []).append(measure(work, values))


def measure(work: Callable[..., Any], values: list[Any]) -> tuple[float, float]:
    """Seconds on the clock, and of processor time of all threads of this process."""
    began, spent = time.perf_counter(), time.process_time()
    work(*values)
    return time.perf_counter() - began, time.process_time() - spent


def show(title: str, told: Took) -> None:
    """A page's row."""
    if not told.cold:
        return
    slowest = max(told.cold, key=lambda name: np.median([cpu for _, cpu in told.cold[name]]))
    print(
        f"{title[:22]:22} {_p95(told.first.values()):>16} {_p95(told.cold.values()):>20} "
        f"{_p95(told.event.values()):>14} {_p95(told.warm.values()):>14}  {slowest}: {_p95([told.cold[slowest]])}",
        flush=True,
    )


def _p95(calls: Any) -> str:
    clock, cpu = (np.percentile([pair[n] for each in calls for pair in each], 95) * 1000 for n in (0, 1))
    return f"{clock:,.0f} ({cpu:,.0f})"


def move_threshold(services: Services, samples: int) -> None:
    """What the numbers of Select take while a slider moves."""
    first = measure(lambda: services.select.preview(PROJECT, dcrs(threshold=0.95)), [])
    moves = [measure(lambda t=t: services.select.preview(PROJECT, dcrs(threshold=t)), []) for t in (0.94, 0.96, 0.97)]
    print(
        f"threshold of {samples:,} samples of {TEACHERS} teachers: first {_p95([[first]])} ms, then {_p95([moves])} ms"
    )


if __name__ == "__main__":
    arguments = sys.argv[1:]
    many = int(arguments[0].replace("_", "")) if arguments else 1_000_000
    if len(arguments) > 1:
        main(many, Path(arguments[1]))
    else:
        with tempfile.TemporaryDirectory() as made:
            main(many, Path(made) / "workspace")
