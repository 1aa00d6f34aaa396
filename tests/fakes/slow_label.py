"""An app process to be killed: labels generated puzzles with the scripted teachers, a little slowed down.

`python -m tests.fakes.slow_label WORKSPACE QUERIES PAUSE_S` labels until done, taking up what an earlier process left.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

from app.services import Services, open_services
from app.usecases.labelling.label import LabelOrder
from app.usecases.teachers import connections as asking
from engine.config import ProjectConfig
from engine.errors import NotFound
from engine.ports import Request
from engine.puzzles import generate_puzzles
from engine.teachers.scripted import SCRIPTED_TEACHERS, ScriptedTeacher
from engine.values import JobStatus, Reply, make_query
from storage.projects import Project

PROJECT = "kill"


@dataclass(frozen=True)
class SlowTeacher(ScriptedTeacher):
    pause: float = 0.0

    async def ask(self, request: Request) -> Reply:
        await asyncio.sleep(self.pause)
        with (Path(sys.argv[1]) / "asked.txt").open("a") as file:
            file.write(f"{self.method} {request.query.id}\n")
        return await super().ask(request)


def main(workspace: Path, queries: int, pause: float) -> None:
    asking.SCRIPTED_TEACHERS = tuple(SlowTeacher(t.method, pause) for t in SCRIPTED_TEACHERS)  # type: ignore[misc]
    with open_services(workspace) as services:
        try:
            project = services.context.projects.get(PROJECT)
        except NotFound:
            project = services.data.create_project(ProjectConfig(name=PROJECT, task="custom"))
            puzzles = generate_puzzles(queries, seed=5)
            services.data.add_queries(project.id, [make_query(p.text, kind=p.kind) for p in puzzles], {})
            services.label.add_scripted_teachers(project.id)
        finish(services, project)
    print("done", flush=True)


def finish(services: Services, project: Project, order: LabelOrder | None = None) -> None:
    """Take up the labelling that an earlier process left, or start one, and wait for its end."""
    for job in services.context.jobs.unfinished_jobs():  # it was killed before it began, and has begun now
        services.context.wait(job.id)
    jobs = services.context.jobs.jobs_of(project.id)
    left = [job for job in jobs if job.status is JobStatus.INTERRUPTED and job.kind in ("label", "batch", "ray-label")]
    if left:
        services.context.jobs.update_job(left[0].id, status=JobStatus.QUEUED)
    services.context.wait(left[0].id if left else services.label.start(project.name, order or LabelOrder()).id)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
