"""The playground: one query to students, by a resident worker that gives way to runs, and to teachers, by a job."""

from __future__ import annotations

import json
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from app.usecases.asking import Asking
from app.usecases.comparing import say_reply
from app.usecases.context import POLL_S, Context
from app.usecases.labelling import LabelService
from app.usecases.stages import StageBuilder
from engine.dataset import student_prompt
from engine.errors import InputError, NotFound, StateError
from engine.jobs.backends.local import worker_environment
from engine.jobs.events import EventLog
from engine.label import label
from engine.ports import Task
from engine.tasks import get_task
from engine.types import Choice, Job, Query, make_query
from storage.projects import Project
from storage.runs import Run
from storage.votes import VERDICTS, Vote

PLAY = "play"
_PATIENCE_S = 180.0
_IDLE_S = 600.0
_TURN_S = 60.0
_MOST_QUERY = 20_000
_OPTION = re.compile(r"\s*\(?([A-Z])[).:]\s*(\S.*?)\s*")


@dataclass(frozen=True)
class Pane:
    """One system's answer so far. `tokens` are the student's own, or what a provider bills. `over`: nothing more comes.

    `told` says why there is no answer.
    """

    name: str
    text: str = ""
    tokens: int | None = None
    seconds: float | None = None
    cost: float | None = None
    over: bool = False
    told: str = ""


@dataclass
class Resident:
    """The worker process that keeps a student loaded. One request at a time; it can be ended at any moment."""

    process: subprocess.Popen[str] | None = None
    lines: queue.Queue[str | None] = field(default_factory=queue.Queue)
    turn: threading.Lock = field(default_factory=threading.Lock)
    numbers: int = 0
    idle: threading.Timer | None = None

    def ask(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Send one request, and give its replies out as they come.

        Raises:
            StateError: if the worker was ended before its last reply, or others kept it busy.
        """
        if not self.turn.acquire(timeout=_TURN_S):
            raise StateError("The students are busy with another visitor's query; try again in a moment.")
        try:
            self._start()
            process, lines = self.process, self.lines
            self.numbers += 1
            if process is None or process.stdin is None:
                raise StateError("The playground gave way to a run.")
            try:
                process.stdin.write(json.dumps({**request, "id": self.numbers}) + "\n")
                process.stdin.flush()
            except OSError as error:
                raise StateError("The playground gave way to a run; ask again when that is over.") from error
            yield from self._replies(lines, self.numbers)
        finally:
            self._rest()
            self.turn.release()

    def _replies(self, lines: queue.Queue[str | None], number: int) -> Iterator[dict[str, Any]]:
        end = time.monotonic() + _PATIENCE_S
        while True:
            try:
                line = lines.get(timeout=max(0.1, end - time.monotonic()))
            except queue.Empty:
                self.end()
                raise StateError(f"The student did not come to an end within {_PATIENCE_S:.0f} s.") from None
            if line is None:
                raise StateError("The playground gave way to a run; ask again when that is over.")
            data = json.loads(line)
            if data["id"] != number:  # of a tab that was closed before the end
                continue
            yield data
            if data.get("over"):
                return

    def _start(self) -> None:
        if self.idle is not None:
            self.idle.cancel()
        if self.process is not None and self.process.poll() is None:
            return
        command = [sys.executable, "-m", "engine.jobs.playground"]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env=worker_environment(),
        )
        lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=_read, args=(process, lines), daemon=True).start()
        self.process, self.lines = process, lines

    def _rest(self) -> None:
        """Free the memory when nobody has asked for a while."""
        self.idle = threading.Timer(_IDLE_S, self.end)
        self.idle.daemon = True
        self.idle.start()

    def end(self) -> None:
        """End the worker, at once; it starts again when it is asked."""
        if self.idle is not None:
            self.idle.cancel()
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()


def _read(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    for line in process.stdout or ():
        lines.put(line)
    lines.put(None)


@dataclass(frozen=True)
class PlayService:
    """Use cases of the playground."""

    context: Context
    asking: Asking
    labelling: LabelService
    resident: Resident = field(default_factory=Resident)

    def systems(self, project: Project) -> dict[str, str]:
        """What can be asked: the name as a person knows it, and an id. Stages of the newest run come first."""
        found: dict[str, str] = {}
        for run in self.context.runs.all(project.id):
            trained = [step.name for step in run.plan.steps if step.kind == "train" and self._adapter(run, step.name)]
            if trained:
                found |= {f"{name} · {run.id[:8]}": f"student {run.id} {name}" for name in trained}
                found.setdefault(f"vanilla · {run.plan.student.model}", f"student {run.id} ")
        for spec in self.context.projects.teachers(project.id):
            if spec.provider != "local":
                found[spec.name] = f"teacher {spec.name}"
        return found

    def _adapter(self, run: Run, step: str) -> Path | None:
        folder = StageBuilder(self.context, run).folder(step) / "adapter"
        return folder if folder.is_dir() else None

    def pick(self, project: Project, at_random: float) -> Query | None:
        """A query of the project, held-out ones first; `at_random` from 0 to 1 says which."""
        for split in ("heldout", "distill"):
            row = self.context.db.row(
                "SELECT id FROM queries WHERE project_id = ? AND split = ? ORDER BY position "
                "LIMIT 1 OFFSET (SELECT floor(? * count(*))::BIGINT FROM queries WHERE project_id = ? AND split = ?)",
                [project.id, split, min(at_random, 0.999999), project.id, split],
            )
            if row is not None:
                return self.context.queries.find_one(project.id, row["id"])
        return None

    def read_query(self, project: Project, text: str) -> Query:
        """The query that somebody typed: one of the project's where it reads like that, else a new one.

        Lines as "A) first option" at its end are options.

        Raises:
            InputError: if it is empty or far too long.
        """
        if not text.strip():
            raise InputError("Type a query first, or take one of the project's.")
        if len(text) > _MOST_QUERY:
            raise InputError(f"The query has {len(text):,} characters; at most {_MOST_QUERY:,} are asked here.")
        made = _read_choices(text.strip()) if project.config.task == "choice" else make_query(text.strip())
        try:
            return self.context.queries.find_one(project.id, made.id)
        except NotFound:
            return made

    def busy(self) -> str:
        """What has the device, as text; "" where nothing has."""
        job = self.context.watch.holder()
        if job is None:
            return ""
        return (
            f"The device is taken by a {job.kind} job, so students don't answer now; teachers do. Ask again when it is "
            "over."
        )

    def ask(self, project: Project, query: Query, ids: Sequence[str]) -> Iterator[list[Pane]]:
        """Ask some systems one query; gives all panes out, in the order asked, as their texts grow.

        Raises:
            NotFound: if there is no such system.
        """
        known = {id_: name for name, id_ in self.systems(project).items()}
        unknown = [id_ for id_ in ids if id_ not in known]
        if unknown:
            raise NotFound(f"there is no system {unknown[0]!r} any more; load the page again")
        panes = {id_: Pane(known[id_]) for id_ in ids}
        teachers = [id_.removeprefix("teacher ") for id_ in ids if id_.startswith("teacher ")]
        job = self._ask_teachers(project, query, teachers) if teachers else None

        def look() -> list[Pane]:
            if job is not None:
                self._collect(job, panes, get_task(project.config.task), query)
            return list(panes.values())

        yield look()
        for id_ in ids:
            if id_.startswith("student "):
                for pane in self._ask_student(project, query, panes[id_], id_):
                    panes[id_] = pane
                    yield look()
        end = time.monotonic() + _PATIENCE_S
        while any(not pane.over for pane in panes.values()) and time.monotonic() < end:
            time.sleep(POLL_S)
            yield look()

    def _ask_student(self, project: Project, query: Query, pane: Pane, id_: str) -> Iterator[Pane]:
        _, run_id, step = id_.split(" ", 2)
        run = self.context.runs.get(run_id)
        if run.project_id != project.id:
            raise NotFound(f"{project.name!r} has no run {run_id}")
        if told := self.busy():
            yield replace(pane, over=True, told=told)
            return
        task = get_task(project.config.task)
        adapter = self._adapter(run, step) if step else None
        if step and adapter is None:
            yield replace(pane, over=True, told="its adapter is not there any more")
            return
        request = {
            "student": run.plan.student.model_dump(mode="json"),
            "prompt": student_prompt(task, query) if step else student_prompt(task, query, "vanilla"),
            "adapter": str(adapter) if adapter else None,
        }
        try:
            for data in self.resident.ask(request):
                told = data.get("error", "") or ("" if data.get("finished", True) else "cut off at its limit of tokens")
                over, text = bool(data.get("over")), data.get("text", pane.text)
                pane = replace(
                    pane, text=text, tokens=data.get("tokens"), seconds=data.get("seconds"), over=over, told=told
                )
                yield pane
        except StateError as error:
            yield replace(pane, over=True, told=str(error))

    def _ask_teachers(self, project: Project, query: Query, names: Sequence[str]) -> Job:
        spec = {"teachers": list(names), "query": [query.text, [[c.letter, c.text] for c in query.choices]]}
        return self.context.submit(project.id, PLAY, spec)

    async def run_play(self, job: Job, log: EventLog, stop: Callable[[], bool]) -> None:
        """The coroutine of a playground job: the teachers answer one query; it stands on the ledger like any other."""
        project = self.context.projects.get(job.project_id)
        text, choices = job.spec["query"]
        query = make_query(text, tuple(Choice(*choice) for choice in choices))
        async with self.asking.open(project, job.spec["teachers"], stop) as reach:
            work = self.labelling.plan_one(project, query, reach.teachers, job.id)
            await label(work, log, reach.caller)

    def _collect(self, job: Job, panes: dict[str, Pane], task: Task, query: Query) -> None:
        """Put in what the teachers have said so far."""
        now = self.context.jobs.get_job(job.id)
        rows = self.context.db.rows(
            "SELECT teacher, raw, output_tokens, latency_s, cost, error, message FROM attempts WHERE job_id = ? "
            'ORDER BY teacher, "at"',
            [job.id],
        )
        for row in rows:
            id_ = f"teacher {row['teacher']}"
            failed = row["error"] is not None and not row["raw"]
            if id_ in panes:
                panes[id_] = replace(
                    panes[id_],
                    text=say_reply(task, query, row["raw"]),
                    tokens=row["output_tokens"],
                    seconds=row["latency_s"],
                    cost=None if row["cost"] is None else float(row["cost"]),
                    over=not failed or now.status.over,
                    told=f"{row['error']}: {row['message']}" if row["error"] else "",
                )
        if now.status.over:
            for id_, pane in panes.items():
                if id_.startswith("teacher ") and not pane.over:
                    declined = "declines: it does not know this query"
                    panes[id_] = replace(pane, over=True, told=now.message or declined)

    def vote(self, project: Project, vote: Vote) -> None:
        """Store a blind vote.

        Raises:
            InputError: if there is no such verdict.
        """
        if vote.verdict not in VERDICTS:
            raise InputError(f"there is no verdict {vote.verdict!r}")
        self.context.votes.add(project.id, vote)


def _read_choices(text: str) -> Query:
    """A query from text, with the options at its end; at least two, lettered from A on without gap."""
    lines = text.splitlines()
    choices: list[Choice] = []
    while lines and (found := _OPTION.fullmatch(lines[-1])):
        choices.insert(0, Choice(found[1], found[2]))
        lines.pop()
    expected = [chr(ord("A") + place) for place in range(len(choices))]
    asked = "\n".join(lines).strip()
    if len(choices) < 2 or [choice.letter for choice in choices] != expected or not asked:
        return make_query(text)
    return make_query(asked, tuple(choices))
