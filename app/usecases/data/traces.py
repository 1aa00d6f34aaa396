"""Importing traces: requests to a model and its replies become queries and recorded teachers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from app.usecases.data.imports import DataService, OutputImport, OutputReading, QueryImport
from app.usecases.data.previews import LOOKED_AT, LOOKED_AT_BYTES
from app.usecases.workspace.context import Context
from engine.errors import InputError
from engine.personal import PERSONAL_TITLES
from engine.plans.reserved import is_reserved
from engine.ports import Task
from engine.tasks import get_task
from engine.teachers.recorded import Recording, RecordingWriter
from engine.traces.gathering import Gatherer
from engine.traces.reading import TraceFile, TraceItem, find_formats, read_traces, say_formats
from engine.traces.settings import TraceOrder
from engine.traces.tally import TraceTally, name_systems
from engine.values import Query, TeacherSpec
from engine.wording import counted, verb
from storage.projects import Project

_SHOWN = 3
_CLIPPED = 400


class PersonalDataFound(InputError):
    """Traces hold personal data, and nobody has said what to do with it. `tally` counts it."""

    def __init__(self, message: str, tally: TraceTally) -> None:
        super().__init__(message)
        self.tally = tally


@dataclass(frozen=True)
class TracePreview:
    """What files of traces would give; `rows` are the first queries with their replies.

    `partly`: only the first rows were looked at. `broke_off` says why a file can't be read to its end.
    """

    formats: str
    tally: TraceTally
    rows: list[dict[str, str]]
    partly: bool
    broke_off: str = ""

    @property
    def must_decide(self) -> bool:
        """Whether nothing can be imported before somebody says what becomes of personal data."""
        return self.tally.flagged > 0


@dataclass(frozen=True)
class TraceImport:
    """What importing traces did: queries stored, and the job that takes the replies in (None: there are none).

    `teachers` counts replies by recorded teacher; `personal` is what was decided about personal data, if it was.
    """

    formats: str
    tally: TraceTally
    queries: QueryImport
    job_id: str | None = None
    teachers: dict[str, int] = field(default_factory=dict)
    personal: str | None = None

    @property
    def outputs(self) -> OutputImport | None:
        """The replies as an import of outputs."""
        return None if self.job_id is None else OutputImport(self.job_id, self.teachers, 0, 0, [])


@dataclass(frozen=True)
class TraceService:
    """Use cases of importing traces."""

    context: Context
    data: DataService

    def look(self, project_name: str, paths: Sequence[Path], order: TraceOrder) -> TracePreview:
        """Read up to 20,000 rows, or 64 MiB of them, and store nothing.

        Raises:
            InputError: if a file can't be read, or looks like no format.
        """
        project = self.context.projects.get(project_name)
        files = find_formats(paths, order.format)
        some = _Some(read_traces(files))
        shown: list[tuple[Query, str, Recording]] = []
        task = get_task(project.config.task)
        gatherer = Gatherer(order, task, several_files=len(files) > 1)

        def keep(teacher: str, query_id: str, recording: Recording) -> None:
            if len(shown) < _SHOWN and query_id in gatherer.firsts:
                shown.append((gatherer.firsts[query_id], teacher, recording))

        gatherer.keep = keep
        broke_off = ""
        try:
            for _ in gatherer.blocks(iter(some)):
                pass
        except InputError as error:
            broke_off = str(error)
        rows = [_show(task, *one) for one in shown]
        return TracePreview(say_formats(files), gatherer.tally, rows, some.partly, broke_off)

    def import_into(self, asked: Mapping[str, str], paths: Sequence[Path], order: TraceOrder) -> TraceImport:
        """Import traces into the project of that name, which is made if there is none; `asked` as in `DataService`.

        Raises:
            InputError: if the project is there with other settings, or as `import_traces`.
        """
        find_formats(paths, order.format)
        with self.data.project_for(asked) as project:
            return self.import_traces(project.name, paths, order)

    def import_traces(self, project_name: str, paths: Sequence[Path], order: TraceOrder) -> TraceImport:
        """Import traces: their queries are stored, and a job is queued that takes the replies in.

        The files are read twice: once for system prompts and personal data, before anything is stored. What was not
        in them then is left out.

        Raises:
            PersonalDataFound: if there is any and the order says nothing about it; nothing was stored then.
            InputError: if no trace is usable; nothing was stored then.
        """
        project = self.context.projects.get(project_name)
        files = find_formats(paths, order.format)
        surveyor = self._survey(project, files, order)
        surveyed = surveyor.tally
        if surveyed.flagged and order.personal is None:
            raise PersonalDataFound(say_personal(surveyed), surveyed)
        with RecordingWriter(self.context.recordings) as writer:
            gatherer = Gatherer(
                order,
                get_task(project.config.task),
                kinds=name_systems(surveyed.systems),
                keep=writer.keep,
                rename=self._renamer(project),
                looked_at=surveyor.looked,
                several_files=len(files) > 1,
            )
            names = ", ".join(path.name for path in paths)
            stored = self.data.store(project, gatherer.blocks(read_traces(files)), names)
            tally = gatherer.tally
            tally.personal, tally.flagged = surveyed.personal, surveyed.flagged
            teachers = {name: own.replies for name, own in tally.models.items()}
            source = self._commit(project, writer, gatherer.answered, set(teachers))
        stored = replace(stored, rejected=tally.rejected, errors=tally.errors)
        imported = TraceImport(say_formats(files), tally, stored, personal=order.personal)
        if source is None:
            return imported
        for name in teachers:
            spec = TeacherSpec(name, "recorded", gatherer.models.get(name, name), endpoint=source)
            self.context.projects.put_teacher(project.id, spec)
        spec_of_job = {"teachers": sorted(teachers), "splits": ["distill", "heldout"]}
        return replace(imported, job_id=self.context.submit(project.id, "label", spec_of_job).id, teachers=teachers)

    def read_back(self, project_name: str, imported: TraceImport) -> OutputReading | None:
        """What became of the replies, once their job is done; None where there are none."""
        outputs = imported.outputs
        return None if outputs is None else self.data.read_back(project_name, outputs)

    def _survey(self, project: Project, files: Sequence[TraceFile], order: TraceOrder) -> Gatherer:
        """Who has read the files once, and counted."""
        gatherer = Gatherer(order, get_task(project.config.task), several_files=len(files) > 1)
        with suppress(InputError):  # told when the rows are read to be stored
            gatherer.survey(read_traces(files))
        return gatherer

    def _renamer(self, project: Project) -> Callable[[str], str]:
        """The name of a model's recorded teacher: its own, unless somebody else has that name."""
        live = {spec.name for spec in self.context.projects.teachers(project.id) if spec.provider != "recorded"}
        return lambda name: f"{name} (traces)" if name in live or is_reserved(name) else name

    def _commit(
        self, project: Project, writer: RecordingWriter, answered: set[tuple[str, str]], teachers: set[str]
    ) -> str | None:
        """Keep the recordings, and with them what the same teachers said in an earlier import."""
        if not teachers:
            return None
        for spec in self.context.projects.teachers(project.id):
            older = self.context.recordings / f"{spec.endpoint}.jsonl"
            if spec.provider == "recorded" and spec.name in teachers and older.is_file():
                writer.keep_rest(older, answered, {spec.name})
        return writer.commit()


class _Some:
    """The first items, up to a bound; `partly` once there were more."""

    def __init__(self, items: Iterator[TraceItem]) -> None:
        self._items = items
        self.partly = False

    def __iter__(self) -> Iterator[TraceItem]:
        size = 0
        for item in islice(self._items, LOOKED_AT):
            yield item
            size += item.size
            if size > LOOKED_AT_BYTES:
                self.partly = True
                return
        self.partly = next(self._items, None) is not None


def _show(task: Task, query: Query, teacher: str, recording: Recording) -> dict[str, str]:
    said = recording.answer if recording.answer is not None else recording.raw or ""
    parts = {"teacher": teacher, "query": task.render(query), "reply": said, "reasoning": recording.rationale}
    return {name: text[:_CLIPPED] for name, text in parts.items()}


def say_personal(tally: TraceTally) -> str:
    """What personal data there is, by kind with the first rows, and what to decide."""
    kinds = "; ".join(tell_personal(tally))
    has = f"{counted(tally.flagged, 'trace')} {verb(tally.flagged, 'has')}"
    return f"{has} what looks like personal data: {kinds}. Nothing was stored. Say what is to become of them"


def tell_personal(tally: TraceTally) -> list[str]:
    """What personal data there is, one sentence without its end a kind."""
    return [
        f"{PERSONAL_TITLES.get(kind, kind)} in {counted(matches.traces, 'trace')} "
        f"({matches.different:,} different; row{'s' if len(matches.rows) > 1 else ''} {', '.join(matches.rows)}"
        f"{' ...' if matches.traces > len(matches.rows) else ''})"
        for kind, matches in tally.personal.items()
    ]


def describe(imported: TraceImport) -> dict[str, Any]:
    """An import as JSON-ready values."""
    tally = imported.tally
    counts = {name: value for name, value in vars(tally).items() if isinstance(value, int)}
    return {
        "formats": imported.formats,
        "traces": counts,
        "models": {
            name: {**vars(own), "usd": None if not own.stated else str(own.usd)} for name, own in tally.models.items()
        },
        "systems": [{"text": text[:200], "traces": count} for text, count in most_frequent(tally.systems)],
        "personal": {
            kind: {"traces": matches.traces, "different": matches.different, "rows": matches.rows}
            for kind, matches in tally.personal.items()
        },
        "queries": vars(imported.queries),
        "job_id": imported.job_id,
    }


def most_frequent(systems: Mapping[str, int]) -> list[tuple[str, int]]:
    """System prompts with their numbers of traces, the most frequent first, twenty at most."""
    return sorted(systems.items(), key=lambda pair: -pair[1])[:20]
