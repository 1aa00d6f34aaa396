"""A project as a whole: duplicated, begun afresh, archived, written to one file, brought from one."""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors

from app.usecases.exports.cards import base_name
from app.usecases.projects.files import MANIFEST, SOURCE, TOKENIZER, unpack
from app.usecases.workspace.context import Context
from engine.config import ProjectConfig, TeacherConfig, read_config
from engine.errors import ConfigError, InputError, StateError
from engine.exports.adapter import name_base
from engine.keys import DEFAULT_VARIABLES
from engine.prompts import make_prompt
from engine.tasks import get_task
from engine.teachers.recorded import name_problem
from engine.values import RunStatus, Split, TeacherSpec
from storage.copies import OLDER_REPORT, RUN_PARTS, TABLES, remade_id
from storage.projects import Project
from storage.runs import Run

_FORMAT = 1
_NOTHING = ". Nothing was stored."
_FILES = (*TABLES, "prompts", OLDER_REPORT, *(part.table for part in RUN_PARTS))
_MAX_HEADER = 4 * 2**20
"""Bytes in which an adapter's weights may be listed."""
_LORA = (
    "peft_type",
    "r",
    "lora_alpha",
    "lora_dropout",
    "target_modules",
    "bias",
    "task_type",
    "base_model_name_or_path",
)
"""What an adapter's settings may say that came from elsewhere; all else is left to its default."""


@dataclass(frozen=True)
class Brought:
    """A project that came from a file. `unkeyed` teachers must be given the variable of their key again."""

    name: str
    unkeyed: list[str]


@dataclass(frozen=True)
class CarryService:
    """Use cases of whole projects."""

    context: Context

    def duplicate(self, name: str, new_name: str) -> Project:
        """A project of another name with the same queries, teachers, samples and decisions; no runs, and no spend.

        Raises:
            InputError: if the name is taken or none.
        """
        source = self.context.projects.get(name)
        config = read_config(ProjectConfig, {**source.config.model_dump(), "name": new_name.strip()})
        with self._made_whole(config) as made:
            self.context.copies.copy(source.id, made.id, [table for table in TABLES if table != "attempts"])
        return made

    @contextmanager
    def _made_whole(self, config: ProjectConfig) -> Iterator[Project]:
        """A new project to be filled in the block; it is taken back if that fails."""
        made = self.context.projects.create(config)
        try:
            yield made
        except BaseException:
            self.context.copies.purge(made.id)
            raise

    def afresh_hindrance(self, project: Project) -> str:
        """Why a project can't be begun afresh; "" where it can: that takes queries, and teachers that can be asked."""
        if not sum(self.context.queries.counts(project.id).values()):
            return f"{project.name} has no queries yet; import some on the page Data."
        providers = {spec.provider for spec in self.context.projects.teachers(project.id)}
        if not providers:
            return f"{project.name} has no teachers yet; the page Teachers adds them."
        if providers == {"recorded"}:
            return f"The teachers of {project.name} are recordings: nobody could be asked again."
        return ""

    def begin_afresh(self, name: str, new_name: str, distill: int, heldout: int) -> Project:
        """A project of another name with some of the queries, evenly out of all, and the teachers; nobody is asked yet.

        Raises:
            InputError: if the name is taken or none.
            StateError: if nobody could be asked there, or nothing.
        """
        source = self.context.projects.get(name)
        if reason := self.afresh_hindrance(source):
            raise StateError(reason)
        config = read_config(ProjectConfig, {**source.config.model_dump(), "name": new_name.strip()})
        with self._made_whole(config) as made:
            most = {Split.DISTILL.value: distill, Split.HELDOUT.value: heldout}
            self.context.copies.copy_queries(source.id, made.id, most)
        return made

    def archive(self, name: str) -> None:
        """Take a project out of the list; nothing of it is lost.

        Raises:
            StateError: if a job of it is running.
        """
        project = self.context.projects.get(name)
        if any(job.project_id == project.id for job in self.context.jobs.unfinished_jobs()):
            raise StateError(f"{project.name!r} has a job that runs; wait for it, or cancel it")
        self.context.projects.archive(project.id, True)

    def restore(self, name: str) -> None:
        """Bring an archived project back."""
        self.context.projects.archive(self.context.projects.get(name).id, False)

    def export(self, name: str, to: Path, with_runs: bool = False) -> Path:
        """Write a project to one file: settings, queries, labels, teachers (never a key), samples, ledger, decisions.

        With runs: selections, runs, reports, rationales, vectors and adapters too.

        Raises:
            InputError: if the file is there.
            StateError: if a run is going on that is to be exported.
        """
        project = self.context.projects.get(name)
        runs = self.context.runs.all(project.id) if with_runs else []
        going = [run for run in runs if run.status is RunStatus.RUNNING]
        if going:
            raise StateError(f"run {going[0].id} is going on; export when it is over. Nothing was written.")
        if to.exists():
            raise InputError(f"{to} exists already; nothing was written")
        to.parent.mkdir(parents=True, exist_ok=True)
        part = to.with_name(f"{to.name}.part")
        try:
            with tempfile.TemporaryDirectory(dir=to.parent) as made, zipfile.ZipFile(part, "w") as file:
                folder = Path(made)
                self.context.copies.write_files(project.id, folder, with_runs)
                manifest = {
                    "format": _FORMAT,
                    "schema": self.context.copies.schema,
                    "config": project.config.model_dump(),
                }
                (folder / MANIFEST).write_text(json.dumps(manifest, indent=2), "utf-8")
                for path in sorted(folder.iterdir()):
                    file.write(path, path.name)
                for run in runs:
                    _write_adapters(run, file)
                for source in self._recordings(project):
                    file.write(self.context.recordings / f"{source}.jsonl", f"recordings/{source}.jsonl")
            part.replace(to)
        finally:
            part.unlink(missing_ok=True)
        return to

    def _recordings(self, project: Project) -> set[str]:
        return {spec.endpoint for spec in self.context.projects.teachers(project.id) if spec.provider == "recorded"}

    def bring(self, path: Path, name: str = "") -> Brought:
        """Make a project from such a file, under its own name or another.

        The variables of keys are left out, so that a provider's own is used at its own address: whoever made the file
        must not choose who gets a key of this machine.

        Raises:
            InputError: if it is no such file, or the name is taken; then nothing is stored.
            ConfigError: if there is no such task here; likewise.
        """
        with tempfile.TemporaryDirectory(dir=self.context.workspace) as made:
            folder = Path(made)
            config = self._unpack(path, folder, name)
            with self._made_whole(config) as project:
                self.context.copies.read_files(project.id, folder)
                unkeyed = self._check_teachers(project, folder)
                for _, text in self.context.projects.prompts(project.id):
                    make_prompt("teacher", get_task(config.task).name, 0, text)
                self._take_recordings(project, folder)
                self._take_adapters(project, folder)
        return Brought(project.name, unkeyed)

    def _take_recordings(self, project: Project, folder: Path) -> None:
        """Take the recordings that a teacher names; one that is here already stays as it is."""
        self.context.recordings.mkdir(exist_ok=True)
        for source in self._recordings(project):
            target = self.context.recordings / f"{source}.jsonl"
            if not target.exists():
                shutil.move(folder / "recordings" / target.name, target)

    def _take_adapters(self, project: Project, folder: Path) -> None:
        """Put the adapters of the runs that were brought where runs have them."""
        named = {remade_id(project.id, old.name): old for old in (folder / "adapters").glob("*")}
        for run in self.context.runs.all(project.id):
            target = self.context.workspace / "runs" / run.id
            for step in sorted(named[run.id].iterdir()) if run.id in named else ():
                _take_adapter(step, target / step.name / "adapter", folder / "tokenizer")
        self.context.copies.relocate(self.context.workspace)

    def _unpack(self, path: Path, folder: Path, name: str) -> ProjectConfig:
        """Take the known parts out, and read the settings."""

        def read_settings(manifest: dict[str, Any]) -> ProjectConfig:
            try:
                schema, values = int(manifest["schema"]), dict(manifest["config"])
            except (ValueError, LookupError, TypeError, OverflowError) as error:
                raise InputError(f"{path.name} is no export of a project, or a damaged one") from error
            if manifest.get("format") != _FORMAT or schema > self.context.copies.schema:
                raise InputError(f"{path.name} was made by a newer version of Tacit")
            config = read_config(ProjectConfig, {**values, "name": name.strip() or values.get("name", "")})
            get_task(config.task)
            return config

        try:
            return unpack(path, folder, _FILES, read_settings)
        except ConfigError:
            raise  # a setting that can't be here, in its own words
        except InputError as error:
            raise InputError(f"{str(error).removesuffix(_NOTHING)}{_NOTHING}") from None

    def _check_teachers(self, project: Project, folder: Path) -> list[str]:
        """See that the teachers are such as can be made here; take the variables of their keys off."""
        unkeyed = []
        for name, spec in self.context.projects.teacher_rows(project.id):
            try:
                variable, known = spec["key_variable"], _check_spec(name, {**spec, "key_variable": None})
            except (TypeError, ValueError, LookupError, AttributeError, ConfigError) as error:
                why = f" ({error})" if isinstance(error, ConfigError) else ""
                raise InputError(f"its teacher {name} can't be read{why}{_NOTHING}") from error
            if known.provider == "recorded" and not (
                SOURCE.fullmatch(known.endpoint) and (folder / "recordings" / f"{known.endpoint}.jsonl").is_file()
            ):
                raise InputError(f"the recording of {name} is not in the file. Nothing was stored.")
            if variable:
                self.context.projects.put_teacher(project.id, known)
            if variable and (known.endpoint or variable != DEFAULT_VARIABLES.get(known.provider)):
                unkeyed.append(name)
        return unkeyed


def _check_spec(name: str, spec: Mapping[str, Any]) -> TeacherSpec:
    """A teacher's settings, checked as those that a person types are.

    Raises:
        ConfigError: what is wrong.
        TypeError: if they are no settings of a teacher.
    """
    flat = {**spec, **spec["sampling"]}
    flat.pop("sampling")
    if spec["name"] != name:
        raise ConfigError(f"it is named {spec['name']!r} inside")
    if spec["provider"] != "recorded":
        return read_config(TeacherConfig, flat).to_spec()
    if problem := name_problem(name):
        raise ConfigError(problem)
    return TeacherSpec(name, "recorded", str(spec["model"]), endpoint=str(spec["endpoint"]), concurrency=1)


def _write_adapters(run: Run, file: zipfile.ZipFile) -> None:
    """Put a run's adapters into a file, and once for all of them the tokenizer; no path of this machine."""
    for step in run.plan.trained:
        source = Path(run.folder) / step.name / "adapter"
        if not (source / "adapter_model.safetensors").is_file():
            continue
        place = f"adapters/{run.id}/{step.name}"
        config = name_base(source, base_name(run, public=True))
        file.writestr(f"{place}/adapter_config.json", config, zipfile.ZIP_DEFLATED)
        file.write(source / "adapter_model.safetensors", f"{place}/adapter_model.safetensors", zipfile.ZIP_DEFLATED)
        file.write(source / "result.json", f"{place}/result.json")
        there = set(file.namelist())
        for path in sorted(source.iterdir()):
            name = f"tokenizer/{path.name}"
            if TOKENIZER.fullmatch(name) and name not in there:
                file.write(path, name, zipfile.ZIP_DEFLATED)


def _take_adapter(source: Path, target: Path, tokenizer: Path) -> None:
    """Put one adapter where a run has it. Of its settings only the known ones are taken; its weights are safetensors.

    Raises:
        InputError: if it is not whole.
    """
    weights, result = source / "adapter_model.safetensors", source / "result.json"
    try:
        settings = json.loads((source / "adapter_config.json").read_text("utf-8"))
        kept = {name: settings[name] for name in _LORA if name in settings}
        json.loads(result.read_text("utf-8"))
        with weights.open("rb") as file:
            if int.from_bytes(file.read(8), "little") > _MAX_HEADER:
                raise ValueError("its list of tensors is too long")
        with safetensors.safe_open(weights, "numpy") as tensors:
            if not list(tensors.keys()) or kept["peft_type"] != "LORA":
                raise ValueError("no LoRA weights")
    except (OSError, ValueError, LookupError, TypeError, RecursionError, safetensors.SafetensorError) as error:
        raise InputError(f"the adapter {source.name} can't be read: it is not whole{_NOTHING}") from error
    target.mkdir(parents=True)
    (target / "adapter_config.json").write_text(json.dumps(kept, indent=2), "utf-8")
    for path in (weights, result, *(tokenizer.glob("*") if tokenizer.is_dir() else ())):
        shutil.copyfile(path, target / path.name)
