"""Pushing a student, its scored answers or a distillation set to the Hub, behind a token."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from app.usecases.exports.cards import SET_FILE, write_set_card
from app.usecases.exports.exports import ADAPTER, EXPORT, ExportService
from app.usecases.exports.items import take_scored, why_no_items
from app.usecases.teachers.connections import Keys
from app.usecases.workspace.context import Context
from engine.errors import InputError, KeyMissing, StateError, say_hub_error, where_it_failed
from engine.exports import EXPORTERS, Exporter, Outgoing, Scope, ScoredAnswers
from engine.exports.base import write_notes
from engine.exports.parquet import write_parquet
from engine.jobs.events import EventLog
from engine.values import Job
from storage.projects import Project
from storage.runs import Run

_LOG = logging.getLogger(__name__)

PUSH = "push"
MADE = 5
"""Exports and pushes that are told of."""
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
PUSHING = "pushing"
"""The folder of a workspace where uploads are made ready; what a killed process left in it goes at the next start."""
TOKEN = "HF_TOKEN"
"""The variable of the Hub's token."""
SET = "set"
"""What is pushed beside students: the distillation set."""


@dataclass(frozen=True)
class PushOrder:
    """What of a run goes where: a step's student, or its scored answers, by an exporter; or the set it was taught."""

    run: str
    repository: str
    what: str = ADAPTER
    step: str = ""
    private: bool = True


def is_repository(name: str) -> bool:
    """Whether it names a repository of the Hub as OWNER/NAME."""
    return bool(_REPOSITORY.fullmatch(name.strip()))


def list_pushed() -> dict[str, str]:
    """What can be pushed, by name with its title."""
    scopes = (Scope.STUDENT, Scope.ITEMS)
    by_step = {name: EXPORTERS[name].title for scope in scopes for name in EXPORTERS if EXPORTERS[name].scope is scope}
    return {**by_step, SET: "the distillation set"}


def is_student(what: str) -> bool:
    """Whether that is a student, which can be checked and goes to a repository of a model; all else are data sets."""
    return what != SET and EXPORTERS.get(what).scope is Scope.STUDENT


def read_what(name: str) -> str:
    """What is to be pushed, by its name.

    Raises:
        InputError: if there is no such thing.
    """
    if name not in list_pushed():
        raise InputError(f"{name!r} can't be pushed; there are {', '.join(list_pushed())}")
    return name


def _write_items_card(folder: Path, scored: ScoredAnswers, exporter: Exporter) -> None:
    """A card with the front matter that the Hub reads, over what the exporter wrote to be read."""
    card, rows = folder / "README.md", sorted(path.name for path in folder.glob("*.jsonl"))
    about = f"# {scored.name}\n\n{exporter.help} The student is {scored.model}.\n"
    text = card.read_text("utf-8") if card.is_file() else about
    front: dict[str, Any] = {"pretty_name": scored.name, "tags": ["tacit"]}
    front |= {"configs": [{"config_name": "default", "data_files": rows}]} if rows else {}
    write_notes(folder, {card.name: f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n\n{text}"})


def _link(source: str, target: str) -> None:
    """Gigabytes are not copied where that can be helped."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@dataclass(frozen=True)
class PublishService:
    """Use cases of the Hub."""

    context: Context
    keys: Keys
    export: ExportService

    def check(self, order: PushOrder) -> Run:
        """Whether this can be pushed, but for the merging; returns its run.

        Raises:
            InputError: if that is no name of a repository, or no step is named where one is needed.
            KeyMissing: if there is no token.
            StateError: if the step has no adapter, or no answers that a harness could score.
        """
        run = self.context.runs.get(order.run)
        if order.what != SET:
            if not order.step:
                raise InputError("name the stage that is pushed, as stage3")
            if is_student(order.what):
                self.export.find_adapter(run, order.step)
            elif reason := why_no_items(self.context, run, order.step):
                raise StateError(reason)
        if not is_repository(order.repository):
            raise InputError(
                f"{order.repository.strip() or 'nothing'}: name a repository of the Hub as OWNER/NAME, of letters, "
                "digits and - _ ."
            )
        self._token()
        return run

    def push(self, order: PushOrder) -> Job:
        """Queue an upload with its card to the Hub, to a repository OWNER/NAME, which is made if need be.

        Raises:
            InputError, KeyMissing, StateError: as `check`; also if the step was not merged yet.
        """
        run = self.check(order)
        if is_student(order.what) and not self.export.is_ready(run, order.step, order.what):
            raise StateError(
                f"{EXPORTERS.get(order.what).title} of {order.step} is not made yet; do that, then push it"
            )
        return self.context.submit(
            run.project_id, PUSH, {**asdict(order), "run": run.id, "repository": order.repository.strip()}
        )

    def find_pushed(self, job_id: str) -> str | None:
        """The address at which a push arrived; None where it did not."""
        events = self.context.jobs.last_events(job_id, ("pushed",))
        return str(events[0].data["url"]) if events else None

    def made(self, project: Project) -> list[dict[str, Any]]:
        """A project's five newest exports and pushes, newest first. Keys: what, status, where, message."""
        jobs = [job for job in self.context.jobs.jobs_of(project.id) if job.kind in (EXPORT, PUSH)][:MADE]
        return [self._describe(job) for job in jobs]

    def _describe(self, job: Job) -> dict[str, Any]:
        pushed = self.find_pushed(job.id)
        return {
            "what": " ".join(filter(None, (job.kind, job.spec.get("what"), job.spec["step"]))),
            "status": "pushed" if pushed else job.status.value,
            "where": pushed or job.spec.get("output", job.spec.get("repository")),
            "message": job.message,
        }

    def _token(self) -> str:
        token = self.keys.of(TOKEN)
        if not token:
            raise KeyMissing(
                f"pushing to the Hub needs a token: set {TOKEN}, or type it beside the repository on the page Exports"
            )
        return token

    async def run_push(self, job: Job, log: EventLog, stop: Callable[[], bool]) -> None:
        """The coroutine of an upload; a started upload can't be stopped halfway."""
        order = PushOrder(**job.spec)
        log.emit("progress", step=f"pushes {order.step or order.what}", done=0, of=1)
        token = self._token()
        try:
            url = await asyncio.to_thread(self._upload, order, token)
        except Exception as error:  # noqa: BLE001 - the Hub's client raises many kinds
            _LOG.error("pushing to the Hub failed: %s", where_it_failed(error))
            reason = say_hub_error(error)
            raise StateError(f"the Hub did not take it: {reason}. Nothing here was changed; push again.") from None
        log.emit("pushed", url=url)

    def _upload(self, order: PushOrder, token: str) -> str:
        """Upload a folder; returns the commit's address."""
        from huggingface_hub import HfApi  # noqa: PLC0415 - only where something is pushed

        api, kind = HfApi(token=token), "model" if is_student(order.what) else "dataset"
        folder_of_all = self.context.workspace / PUSHING
        folder_of_all.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder_of_all) as folder:
            made = self._make(order, Path(folder) / "made")
            api.create_repo(order.repository, private=order.private, exist_ok=True, repo_type=kind)
            if order.private and not api.repo_info(order.repository, repo_type=kind).private:
                raise StateError("this repository is there already and public; name another, or push it as public")
            pushed = api.upload_folder(repo_id=order.repository, folder_path=made, repo_type=kind)
            return str(pushed.commit_url)

    def _make(self, order: PushOrder, folder: Path) -> Path:
        """The folder that is uploaded; no path of this machine stands in it."""
        run = self.context.runs.get(order.run)
        if order.what == SET:
            card = write_set_card(self.context, self.context.projects.get(run.project_id), run.selection_id)
            rows = self.context.selections.kept_whole(run.project_id, run.selection_id)
            write_parquet(Outgoing(rows=rows), folder / SET_FILE)
            write_notes(folder, card.files)
            return folder
        exporter = EXPORTERS.get(order.what)
        if not is_student(order.what):
            scored = take_scored(self.context, run, order.step)
            given = Outgoing(scored=scored)
            exporter.write(given, folder / f"{order.step}{exporter.suffix}" if exporter.suffix else folder)
            _write_items_card(folder, scored, exporter)
            return folder
        given = self.export.take_student(run, order.step, order.what, public=True, repository=order.repository)
        if not exporter.needs_worker and not exporter.suffix:
            exporter.write(given, folder)
            return folder
        if not exporter.needs_worker:
            folder.mkdir()
            exporter.write(given, folder / f"model{exporter.suffix}")
            write_notes(folder, given.notes)
            return folder
        source = self.export.prepared(run, order.step, order.what)
        if source.is_dir():
            shutil.copytree(source, folder, copy_function=_link)
        else:
            folder.mkdir()
            _link(str(source), str(folder / f"model{exporter.suffix}"))
        write_notes(folder, given.notes)
        return folder
