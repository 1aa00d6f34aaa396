"""Projects and what goes into them: queries and recorded outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from app.usecases.workspace.context import Context
from engine.columns import MOST_ERRORS, ImportedQueries, OutputTally, RowError, Span, read_outputs, read_queries
from engine.config import ProjectConfig, read_config
from engine.errors import InputError, MissingColumn
from engine.hub import open_records
from engine.plans.reserved import is_reserved
from engine.records import read_records
from engine.tasks import DEFAULT_TASK, get_task
from engine.teachers.recorded import RecordingWriter
from engine.values import Query, Split, TeacherSpec
from engine.wording import counted
from storage.projects import Project

_BLOCK = 10_000
_COUNTED = (
    "added",
    "golds",
    "duplicates",
    "present",
    "leaked",
    "rejected",
    "noted",
    "spanning",
    "paraphrases",
    "followed",
)


@dataclass(frozen=True)
class QueryImport:
    """What importing a file of queries did. `distill` and `heldout` count the whole project afterwards.

    `present` were there before, of them `leaked` in the other split, where they stay; `errors` are the first of the
    `rejected` rows; `noted` rows were taken without a part of them, of which `notes` tell the first. `spanning` rows
    run over several lines of the file, of which `spans` are the longest. `broke_off` says why the file was not read to
    its end; the queries before that are stored. `paraphrases` of those added have an original question, whose split is
    theirs; `followed` would have been in the other split, but for what the project held of their question before.
    """

    added: int
    distill: int
    heldout: int
    golds: int
    duplicates: int
    present: int
    leaked: int
    rejected: int
    errors: list[RowError]
    noted: int = 0
    notes: list[RowError] = field(default_factory=list)
    spanning: int = 0
    spans: list[Span] = field(default_factory=list)
    broke_off: str = ""
    paraphrases: int = 0
    followed: int = 0


@dataclass(frozen=True)
class OutputImport:
    """What importing a file of outputs prepared: the job that takes them in. `errors` are the first `rejected` rows.

    `noted` rows were taken without a part of them, of which `notes` tell the first.
    """

    job_id: str
    teachers: dict[str, int]
    unmatched: int
    rejected: int
    errors: list[RowError]
    noted: int = 0
    notes: list[RowError] = field(default_factory=list)


@dataclass(frozen=True)
class OutputReading:
    """What became of imported outputs when they were read. `present` had been read before; `why` counts the unread."""

    outputs: int
    read: int
    present: int
    unread: int
    why: dict[str, int]


@dataclass(frozen=True)
class DataService:
    """Use cases of projects and data."""

    context: Context

    def create_project(self, config: ProjectConfig) -> Project:
        """Make a project.

        Raises:
            InputError: if the name is taken.
            ConfigError: if there is no such task.
        """
        get_task(config.task)
        return self.context.projects.create(config)

    def counts(self, project: Project) -> dict[str, int]:
        """How many queries a project has, by split; a split without any is left out."""
        return self.context.queries.counts(project.id)

    def import_into(
        self,
        asked: Mapping[str, str],
        source: str | Path,
        columns: Mapping[str, str],
        heldout: float,
        strict: bool = False,
    ) -> QueryImport:
        """Import queries into the project of that name, which is made if there is none and the file has a good row.

        `asked` are settings of the project: its name, and what the user gave of the others.

        Raises:
            InputError: if the project is there with other settings.
        """
        with self.project_for(asked) as project:
            return self.import_queries(project.name, source, columns, heldout, strict)

    @contextmanager
    def project_for(self, asked: Mapping[str, str]) -> Iterator[Project]:
        """The project of that name, which is made if there is none, and taken back if the block fails.

        `asked` are settings of the project: its name, and what the user gave of the others.

        Raises:
            InputError: if the project is there with other settings.
        """
        config = read_config(ProjectConfig, {"task": DEFAULT_TASK, **asked})
        present = next((p for p in self.context.projects.all() if p.name == config.name), None)
        if present is not None:
            if {**present.config.model_dump(), **asked} != present.config.model_dump():
                raise InputError(
                    f"the project {config.name!r} is there already, with task {present.config.task} and embedder "
                    f"{present.config.embedder}; leave these options out, or give another name. Nothing was stored."
                )
            yield present
            return
        made = self.create_project(config)
        try:
            yield made
        except BaseException:
            self.context.projects.remove(config.name)
            raise

    def import_queries(
        self, project_name: str, source: str | Path, columns: Mapping[str, str], heldout: float, strict: bool = False
    ) -> QueryImport:
        """Import queries from a file or a Hub dataset, block by block: good rows go in without the bad ones.

        Raises:
            InputError: if no row is usable, or with `strict` if any row is not; then nothing is stored.
        """
        project = self.context.projects.get(project_name)
        task = get_task(project.config.task)

        def blocks() -> Iterator[ImportedQueries]:
            yield from read_queries(open_records(source), columns, heldout, task)

        if strict:
            _refuse_bad_rows(source, blocks())
        return self.store(project, blocks(), source)

    def store(self, project: Project, blocks: Iterator[ImportedQueries], source: str | Path) -> QueryImport:
        """Store queries and gold labels block by block; where the blocks end in an error, those before it stay.

        Raises:
            InputError: if nothing could be stored.
        """
        start = self.context.queries.last_position(project.id)
        tally = dict.fromkeys(_COUNTED, 0)
        details = _RowDetails()
        broke_off = ""
        try:
            for block in blocks:
                known = self.context.queries.find(project.id, [query.id for query in block.queries])
                old = {query.id for query in block.queries if query.id in known and known[query.id][0] <= start}
                tally["present"] += len(old)
                tally["leaked"] += sum(q.id in old and known[q.id][1] is not q.split for q in block.queries)
                tally["duplicates"] += block.duplicates + len(known) - len(old)
                tally["golds"] += sum(query_id not in known for query_id in block.golds)
                tally["rejected"] += len(block.errors)
                tally["noted"] += len(block.notes)
                tally["spanning"] += len(block.spans)
                details.add(block)
                new = [query for query in block.queries if query.id not in known]
                settled = follow_families(self.context, project.id, new)
                tally["paraphrases"] += sum(query.origin is not None for query in new)
                tally["followed"] += sum(q.split is not placed.split for q, placed in zip(new, settled, strict=True))
                tally["added"] += self.context.queries.add(project.id, settled, block.golds)
        except MissingColumn:
            raise
        except InputError as error:
            if not tally["added"] and not tally["present"]:
                raise InputError(f"{error}. Nothing was stored.") from None
            broke_off = str(error)
        if not tally["added"] and not tally["present"]:
            raise InputError(_nothing_stored(source, details.errors, tally["rejected"]))
        totals = self.context.queries.counts(project.id)
        return QueryImport(
            **tally,
            distill=totals.get(Split.DISTILL, 0),
            heldout=totals.get(Split.HELDOUT, 0),
            errors=details.errors,
            notes=details.notes,
            spans=details.spans,
            broke_off=broke_off,
        )

    def queries_of(self, project_id: str) -> list[Query]:
        """All queries of a project, in their order."""
        return self.context.queries.get(project_id)

    def add_queries(self, project_id: str, queries: list[Query], golds: Mapping[str, str]) -> int:
        """Store queries and gold labels in blocks; returns how many were new."""
        added = 0
        for begin in range(0, len(queries), _BLOCK):
            block = queries[begin : begin + _BLOCK]
            added += self.context.queries.add(
                project_id, block, {query.id: golds[query.id] for query in block if query.id in golds}
            )
        return added

    def import_outputs(self, project_name: str, path: Path, teacher: str | None = None) -> OutputImport:
        """Prepare recorded teachers from a file and queue the job that replays them.

        Raises:
            InputError: if no row matches a query of the project.
        """
        project = self.context.projects.get(project_name)
        queries = self.context.queries.get(project.id)
        with RecordingWriter(self.context.recordings) as writer:
            try:
                tally = read_outputs(read_records(path), queries, teacher, writer.keep)
            except InputError as error:
                raise InputError(f"{error}. Nothing was stored.") from None
            self._check_recorded(project, path, tally)
            source = writer.commit()
        for name in tally.teachers:
            self.context.projects.put_teacher(project.id, TeacherSpec(name, "recorded", name, endpoint=source))
        spec = {"teachers": sorted(tally.teachers), "splits": ["distill", "heldout"]}
        job = self.context.submit(project.id, "label", spec)
        return OutputImport(
            job.id, tally.teachers, tally.unmatched, tally.rejected, tally.errors, tally.noted, tally.notes
        )

    def read_back(self, project_name: str, imported: OutputImport) -> OutputReading:
        """What became of imported outputs, once their job is done."""
        project = self.context.projects.get(project_name)
        outcomes = self.context.samples.outcomes(project.id, imported.job_id)
        read = sum(row["n"] for row in outcomes if row["error"] is None)
        why: dict[str, int] = {}
        for row in outcomes:
            if row["error"] is not None:
                reason = row["message"] or row["error"]
                why[reason] = why.get(reason, 0) + row["n"]
        outputs, unread = sum(imported.teachers.values()), sum(why.values())
        return OutputReading(outputs, read, outputs - read - unread, unread, why)

    def _check_recorded(self, project: Project, path: Path, tally: OutputTally) -> None:
        first = f", the first: row {tally.errors[0].row}, {tally.errors[0].message}" if tally.errors else ""
        if not tally.teachers:
            raise InputError(
                f"{path.name}: none of its rows belongs to a query of {project.name!r} "
                f"({counted(tally.unmatched, 'row')} without a query of the project, {tally.rejected:,} that can't be "
                f"used{first}). Nothing was stored."
            )
        known = {spec.name: spec.provider for spec in self.context.projects.teachers(project.id)}
        clash = {name for name, provider in known.items() if provider != "recorded"} & tally.teachers.keys()
        if clash:
            raise InputError(f"{', '.join(sorted(clash))} is a live teacher of this project; rename the recorded one")
        reserved = [name for name in tally.teachers if name not in known and is_reserved(name)]
        if reserved:
            raise InputError(
                f"{', '.join(reserved)}: a teacher can't have the name of a student; rename it in the file"
            )


def follow_families(context: Context, project_id: str, queries: Sequence[Query]) -> list[Query]:
    """Queries in the splits in which the project already has what asks the same question in other words."""
    if all(query.origin is None for query in queries) and not context.queries.has_paraphrases(project_id):
        return list(queries)
    splits = context.queries.splits_of_families(project_id, [query.family for query in queries])
    return [
        query if splits.get(query.family, query.split) is query.split else replace(query, split=splits[query.family])
        for query in queries
    ]


@dataclass
class _RowDetails:
    """What is told of single rows: the first errors and notes, the longest spans."""

    errors: list[RowError] = field(default_factory=list)
    notes: list[RowError] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)

    def add(self, block: ImportedQueries) -> None:
        self.errors += block.errors[: MOST_ERRORS - len(self.errors)]
        self.notes += block.notes[: MOST_ERRORS - len(self.notes)]
        self.spans = longest_spans([*self.spans, *block.spans])


def longest_spans(spans: Sequence[Span]) -> list[Span]:
    """The three rows that run over the most lines."""
    return sorted(spans, key=lambda span: (-span.lines, span.row))[:3]


def _refuse_bad_rows(source: str | Path, blocks: Iterator[ImportedQueries]) -> None:
    """Read a file to its end and store nothing.

    Raises:
        InputError: if a row is bad, or a part of one.
    """
    bad, first = 0, _RowDetails()
    try:
        for block in blocks:
            bad += len(block.errors) + len(block.notes)
            first.add(block)
    except MissingColumn:
        raise
    except InputError as error:
        raise InputError(f"{error}. Nothing was stored.") from None
    if bad:
        raise InputError(_nothing_stored(source, sorted([*first.errors, *first.notes], key=lambda e: e.row), bad))


def _nothing_stored(source: str | Path, errors: Sequence[RowError], count: int) -> str:
    name = source.name if isinstance(source, Path) else source
    first = f"; the first: row {errors[0].row}, {errors[0].message}" if errors else ""
    if not count:
        return f"{name} has no rows. Nothing was stored."
    return f"{name}: {counted(count, 'row')} can't be used{first}. Nothing was stored."
