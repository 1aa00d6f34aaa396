"""Projects and what goes into them: queries and recorded outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.usecases.context import Context
from engine.columns import MOST_ERRORS, ImportedQueries, OutputTally, RowError, read_outputs, read_queries
from engine.config import ProjectConfig, read_config
from engine.errors import InputError
from engine.hub import open_records
from engine.records import read_records
from engine.teachers.recorded import RecordingWriter
from engine.types import Query, Split, TeacherSpec
from storage.projects import Project

_BLOCK = 10_000
RESERVED = ("student", "vanilla", "vanilla-fewshot", "standard-kd", "standard-kd-equal-updates")


@dataclass(frozen=True)
class QueryImport:
    """What importing a file of queries did. `distill` and `heldout` count the whole project afterwards.

    `present` were there before, of them `leaked` in the other split, where they stay; `errors` are the first of the
    `rejected` rows.
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


@dataclass(frozen=True)
class OutputImport:
    """What importing a file of outputs prepared: the job that takes them in. `errors` are the first `rejected` rows."""

    job_id: str
    teachers: dict[str, int]
    unmatched: int
    rejected: int
    errors: list[RowError]


@dataclass(frozen=True)
class DataService:
    """Use cases of projects and data."""

    context: Context

    def create_project(self, config: ProjectConfig) -> Project:
        """Make a project.

        Raises:
            InputError: if the name is taken.
        """
        return self.context.projects.create(config)

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
        config = read_config(ProjectConfig, {"task": "custom", **asked})
        present = next((p for p in self.context.projects.all() if p.name == config.name), None)
        if present is not None:
            if {**present.config.model_dump(), **asked} != present.config.model_dump():
                raise InputError(
                    f"the project {config.name!r} is there already, with task {present.config.task} and embedder "
                    f"{present.config.embedder}; leave these options out, or give another name. Nothing was stored."
                )
            return self.import_queries(config.name, source, columns, heldout, strict)
        self.create_project(config)
        try:
            return self.import_queries(config.name, source, columns, heldout, strict)
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
        choices = project.config.task == "choice"

        def blocks() -> Iterator[ImportedQueries]:
            return read_queries(open_records(source), columns, heldout, choices)

        if strict:
            bad = [error for block in blocks() for error in block.errors]
            if bad:
                raise InputError(_nothing_stored(source, bad))
        return self._store(project, blocks(), source)

    def _store(self, project: Project, blocks: Iterator[ImportedQueries], source: str | Path) -> QueryImport:
        start = self.context.queries.last_position(project.id)
        tally = dict.fromkeys(("added", "golds", "duplicates", "present", "leaked", "rejected"), 0)
        errors: list[RowError] = []
        try:
            for block in blocks:
                known = self.context.queries.find(project.id, [query.id for query in block.queries])
                old = {query.id for query in block.queries if query.id in known and known[query.id][0] <= start}
                tally["present"] += len(old)
                tally["leaked"] += sum(q.id in old and known[q.id][1] is not q.split for q in block.queries)
                tally["duplicates"] += block.duplicates + len(known) - len(old)
                tally["golds"] += sum(query_id not in known for query_id in block.golds)
                tally["rejected"] += len(block.errors)
                errors += block.errors[: MOST_ERRORS - len(errors)]
                tally["added"] += self.context.queries.add(project.id, block.queries, block.golds)
        except InputError as error:
            if not tally["added"]:
                raise
            tally["rejected"] += 1
            errors.append(RowError(0, f"{error}; the {tally['added']} queries before that are stored"))
        if not tally["added"] and not tally["present"]:
            raise InputError(_nothing_stored(source, errors, tally["rejected"]))
        totals = self.context.queries.counts(project.id)
        return QueryImport(
            **tally, distill=totals.get(Split.DISTILL, 0), heldout=totals.get(Split.HELDOUT, 0), errors=errors
        )

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
            found = read_outputs(read_records(path), queries, teacher, writer.keep)
            self._check_recorded(project, path, found)
            source = writer.commit()
        for name in found.teachers:
            self.context.projects.put_teacher(project.id, TeacherSpec(name, "recorded", name, endpoint=source))
        spec = {"teachers": sorted(found.teachers), "splits": ["distill", "heldout"]}
        job = self.context.submit(project.id, "label", spec)
        return OutputImport(job.id, found.teachers, found.unmatched, found.rejected, found.errors)

    def _check_recorded(self, project: Project, path: Path, found: OutputTally) -> None:
        if not found.teachers:
            raise InputError(
                f"{path.name}: none of its rows belongs to a query of {project.name!r} "
                f"({found.unmatched} name unknown queries, {found.rejected} can't be used). Nothing was stored."
            )
        live = {spec.name for spec in self.context.projects.teachers(project.id) if spec.provider != "recorded"}
        clash = live & found.teachers.keys()
        if clash:
            raise InputError(f"{', '.join(sorted(clash))} is a live teacher of this project; rename the recorded one")
        reserved = [name for name in found.teachers if name in RESERVED or name.startswith("stage")]
        if reserved:
            raise InputError(
                f"{', '.join(reserved)}: a teacher can't have the name of a student; rename it in the file"
            )


def _nothing_stored(source: str | Path, errors: Sequence[RowError], count: int | None = None) -> str:
    name = source.name if isinstance(source, Path) else source
    first = f"; the first: row {errors[0].row}, {errors[0].message}" if errors else ""
    return f"{name}: {len(errors) if count is None else count} rows can't be used{first}. Nothing was stored."
