"""Pushing a student to the Hub, behind a token."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.usecases.asking import Keys
from app.usecases.context import Context
from app.usecases.exporting import ExportService
from engine.errors import InputError, KeyMissing, StateError
from engine.jobs.events import EventLog
from engine.types import Job

PUSH = "push"
TOKEN = "HF_TOKEN"
"""The variable of the Hub's token."""


def _name_base_only(folder: Path, model: str) -> None:
    """Where the base model is a folder of this machine, say its name only."""
    if Path(model).is_dir():
        for name in ("README.md", "tacit.json", "adapter_config.json"):
            file = folder / name
            file.write_text(file.read_text("utf-8").replace(model, Path(model).name), "utf-8")


@dataclass(frozen=True)
class PublishService:
    """Use cases of the Hub."""

    context: Context
    keys: Keys
    export: ExportService

    def push(self, run_id: str, step: str, repository: str, private: bool = True) -> Job:
        """Queue the upload of a stage's adapter with its card to the Hub, as OWNER/NAME.

        Raises:
            InputError: if that is no name of a repository.
            KeyMissing: if there is no token.
            StateError: if the step has no adapter.
        """
        run = self.context.runs.get(run_id)
        self.export.find_adapter(run, step)
        owner, _, name = repository.strip().partition("/")
        if not owner or not name or "/" in name:
            raise InputError(f"{repository!r}: name a repository of the Hub as OWNER/NAME")
        self._token()
        spec = {"run": run.id, "step": step, "repository": repository.strip(), "private": private}
        return self.context.submit(run.project_id, PUSH, spec)

    def _token(self) -> str:
        token = self.keys.of(TOKEN)
        if not token:
            raise KeyMissing(f"pushing to the Hub needs a token: set {TOKEN}, or type it on the page Exports")
        return token

    async def run_push(self, job: Job, log: EventLog, stop: Callable[[], bool]) -> None:
        """The coroutine of an upload; a started upload can't be stopped halfway."""
        log.emit("progress", step=f"pushes {job.spec['step']}", done=0, of=1)
        token = self._token()
        try:
            url = await asyncio.to_thread(self._upload, job, token)
        except Exception as error:  # noqa: BLE001 - the Hub's client raises many kinds; the message is what helps
            told = str(error).replace(token, "[token]")[:500]
            raise StateError(f"the Hub did not take it: {told}. Nothing here was changed; push again.") from None
        log.emit("pushed", url=url)

    def _upload(self, job: Job, token: str) -> str:
        """Upload an adapter and its card; returns the commit's address."""
        from huggingface_hub import HfApi  # noqa: PLC0415 - only where something is pushed

        spec, api = job.spec, HfApi(token=token)
        with tempfile.TemporaryDirectory() as folder:
            made = self.export.adapter(spec["run"], spec["step"], Path(folder) / "adapter")
            _name_base_only(made, self.context.runs.get(spec["run"]).plan.student.model)
            api.create_repo(spec["repository"], private=spec["private"], exist_ok=True)
            if spec["private"] and not api.repo_info(spec["repository"]).private:
                raise StateError("this repository is there already and public; name another, or push it as public")
            return str(api.upload_folder(repo_id=spec["repository"], folder_path=made).commit_url)
