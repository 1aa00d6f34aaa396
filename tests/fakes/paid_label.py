"""An app process to be killed: labels with one teacher behind a provider on loopback.

`python -m tests.fakes.paid_label WORKSPACE URL QUERIES [HOW]` labels until done, taking up what an earlier one left.
HOW is an engine of labelling, Ray's being a stand-in for a cluster, or `play`: each query is asked in the playground.
`CLOCK_S` in the environment sets this process's clock by so many seconds.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.services import Services, open_services
from app.usecases.labelling import label as labelling
from app.usecases.labelling.label import LabelOrder
from engine.config import ProjectConfig
from engine.errors import NotFound
from engine.labelling import batch
from engine.values import make_query
from storage.projects import Project
from tests.fakes.ray_threads import RayThreads
from tests.fakes.slow_label import finish

PROJECT = "paid"
IN_FLIGHT = 4


def main(workspace: Path, url: str, queries: int, how: Any = "process") -> None:
    step, real = float(os.environ.get("CLOCK_S", 0)), time.time
    time.time = lambda: real() + step
    labelling.POLL_BATCH_S, batch.MOST_BYTES = 0.05, 6_000
    with open_services(workspace, RayThreads() if how == "ray" else None) as services:
        try:
            project = services.context.projects.get(PROJECT)
        except NotFound:
            project = services.data.create_project(ProjectConfig(name=PROJECT, task="custom"))
            services.data.add_queries(project.id, [make_query(f"query {n}?") for n in range(queries)], {})
            teacher = {"name": "ann", "provider": "openai", "model": "m", "endpoint": f"{url}/v1"}
            more = {"key_variable": "LOOPBACK_KEY", "concurrency": IN_FLIGHT, "input_price": 1, "output_price": 2}
            services.teachers.add(PROJECT, teacher | more)
        if how == "play":
            play(services, project)
        else:
            finish(services, project, LabelOrder(engine=how))
    print("done", flush=True)


def play(services: Services, project: Project) -> None:
    """Ask the teacher every query while its answers are heard growing; which are over is kept beside the store."""
    over = services.context.workspace / "played.txt"
    known = set(over.read_text().splitlines()) if over.exists() else set()
    for query in services.context.queries.get(project.id):
        if query.id not in known:
            for _ in services.play.ask(project, query, ["teacher ann"]):
                pass
            with over.open("a") as file:
                file.write(f"{query.id}\n")


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), *sys.argv[4:5])
