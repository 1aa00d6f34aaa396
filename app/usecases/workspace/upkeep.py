"""Looking after a workspace: jobs and spend over all projects; purging for good; backup and restore."""

from __future__ import annotations

import shutil
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.usecases.training.study_files import list_grids
from app.usecases.workspace.context import Context
from app.usecases.workspace.unknown_ends import UnknownEnds, add_ends
from app.usecases.workspace.unpacking import FOLDERS, STORE, STUDIES, unpack_backup
from engine.errors import InputError, NotFound, StateError, say_error
from engine.values import Job

JOBS = 50
_JUST_WRITTEN_S = 600
"""A recording this new may belong to an import that is under way."""


@dataclass(frozen=True)
class KeepService:
    """Use cases of looking after a workspace."""

    context: Context

    def jobs(self) -> list[dict[str, Any]]:
        """The fifty newest jobs of all projects, newest first.

        Keys: number, id, project (None: removed), kind, status, started, seconds, cost (None: some of it unknown),
        message, folder, run_id.
        """
        return self.context.job_records.find_page("all", None, "", 0, JOBS)[0]

    def quarantined(self) -> list[dict[str, Any]]:
        """Jobs whose journal could not be taken in, newest first: id, project, kind, message."""
        return self.context.job_records.quarantined()

    def retry(self, job: str) -> Job:
        """Take the journal of a quarantined job in again, by its id or how it begins.

        Raises:
            NotFound: if there is no such job, or more than one.
            StateError: if it is not quarantined, or its journal still can't be taken in.
        """
        ids = self.context.jobs.ids_from(job.strip())
        if len(ids) != 1 or not job.strip():
            raise NotFound(f"{'several jobs begin' if ids else 'no job begins'} with {job!r}; `tacit jobs` lists them")
        return self.context.watch.retry(ids[0])

    def spend(self, only: str | None = None) -> list[dict[str, Any]]:
        """What teachers cost, by project, teacher and purpose.

        Keys: project, teacher, purpose, requests, failed, tokens_in, tokens_out, cost, unknown (requests without a
        known cost).
        """
        return self.context.ledger.by_project(only)

    def unknown_ends(self, only: str | None = None) -> UnknownEnds:
        """Requests of jobs that were cut off, of which nobody knows whether they were billed; no part of `spend`."""
        return add_ends(self.context.intents.unknown_ends(only))

    def spend_by_day(self, only: str | None = None) -> list[dict[str, Any]]:
        """The same by day (UTC), project and teacher, oldest first; `only` is the id of a project.

        Keys: day, project, teacher, cost, requests, unknown.
        """
        return self.context.ledger.by_day(only)

    def purge(self, name: str, typed: str) -> None:
        """Remove a project for good: rows, runs, adapters, jobs. `typed` must be its name again.

        Raises:
            InputError: if the names differ.
            StateError: if a job of it is running.
        """
        project = self.context.projects.get(name)
        if typed.strip() != project.name:
            raise InputError(f"Type {project.name!r} to remove it for good. Nothing was removed.")
        if any(job.project_id == project.id for job in self.context.jobs.unfinished_jobs()):
            raise StateError(f"{project.name!r} has a job that runs; wait for it, or cancel it. Nothing was removed.")
        folders = [Path(run.folder) for run in self.context.runs.all(project.id)]
        jobs = self.context.jobs.jobs_of(project.id)
        folders += [Path(job.folder) for job in jobs]
        folders += [Path(str(job.spec[key])) for job in jobs for key in ("output", "check") if key in job.spec]
        self.context.copies.purge(project.id)
        self.context.samples.cosines.forget(project.id)
        roots = {(self.context.workspace / name).resolve() for name in ("runs", "jobs", "exports")}
        for folder in folders:
            if folder.resolve().parent in roots:
                folder.unlink(missing_ok=True) if folder.is_file() else shutil.rmtree(folder, ignore_errors=True)
        for grid in list_grids(self.context.workspace / STUDIES):
            if grid.project == project.name:
                shutil.rmtree(self.context.workspace / STUDIES / grid.name, ignore_errors=True)
        self._sweep_recordings()

    def _sweep_recordings(self) -> None:
        """Remove recordings that no project names any more."""
        used = {
            spec.endpoint
            for project in self.context.projects.all()
            for spec in self.context.projects.teachers(project.id)
            if spec.provider == "recorded"
        }
        for file in self.context.recordings.glob("*.jsonl"):
            if file.stem not in used and time.time() - file.stat().st_mtime > _JUST_WRITTEN_S:
                file.unlink(missing_ok=True)

    def back_up(self, to: Path) -> Path:
        """Write the whole workspace to one file, as it is at one moment; keys are in none.

        Raises:
            InputError: if the file is there, or lies inside what is backed up.
            StateError: if a job is running: its adapter would be cut in two.
        """
        if to.exists():
            raise InputError(f"{to} exists already; nothing was written")
        if any((self.context.workspace / name).resolve() in to.resolve().parents for name in FOLDERS):
            raise InputError(f"{to} lies inside what is backed up; name a file elsewhere. Nothing was written.")
        if self.context.jobs.unfinished_jobs():
            raise StateError("a job is running; back up when it is over, or cancel it. Nothing was written.")
        to.parent.mkdir(parents=True, exist_ok=True)
        part = to.with_name(f"{to.name}.part")
        try:
            with tempfile.TemporaryDirectory(dir=to.parent) as made, zipfile.ZipFile(part, "w") as archive:
                copy = Path(made) / STORE
                self.context.copies.copy_store(copy)
                archive.write(copy, STORE, zipfile.ZIP_DEFLATED)
                for name in FOLDERS:
                    for file in sorted((self.context.workspace / name).rglob("*")):
                        if file.is_file() and file.name != "lock":
                            archive.write(file, file.relative_to(self.context.workspace))
            part.replace(to)
        finally:
            part.unlink(missing_ok=True)
        return to

    def cancel(self, job_id: str) -> None:
        """Ask a job to stop."""
        self.context.watch.cancel(job_id)


def restore_workspace(file: Path, workspace: Path) -> None:
    """Unpack a backup into a folder that holds no workspace yet, all or nothing, in a process of its own.

    Raises:
        InputError: if it is no backup, or a workspace is there.
    """
    if workspace.exists() and any(workspace.iterdir()):
        raise InputError(f"{workspace} is not empty; name a new folder with --workspace. Nothing was written.")
    part = workspace.with_name(f"{workspace.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        unpack_backup(file, part)
        if workspace.exists():
            workspace.rmdir()
        part.rename(workspace)
    except InputError as error:
        raise InputError(f"{error}. Nothing was written.") from error
    except OSError as error:
        raise InputError(f"{file.name} can't be unpacked: {say_error(error)} Nothing was written.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
