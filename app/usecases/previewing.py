"""A look at a file of queries before any of it is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from app.usecases.context import Context
from engine.columns import RowError, guess_columns, read_queries
from engine.errors import InputError
from engine.hub import open_records
from engine.packaged import packaged_student_folder
from engine.tasks import get_task
from engine.teachers.tokens import find_in_files

LOOKED_AT = 20_000
_SHOWN = 5
_ERRORS = 20
_MEASURED = 5_000


@dataclass(frozen=True)
class Preview:
    """What the first rows of a file would give.

    `rows` are queries as a teacher reads them. `lengths` are of up to 5,000 queries, in `unit`: tokens of the packaged
    student where its tokenizer is on this machine, else characters.
    """

    names: list[str]
    columns: dict[str, str | None]
    good: int
    bad: int
    duplicates: int
    partly: bool
    looked_at: int
    rows: list[dict[str, Any]]
    lengths: list[int]
    unit: str
    errors: list[RowError]


@dataclass(frozen=True)
class PreviewService:
    """Use case of looking before storing."""

    context: Context

    def look(self, project_name: str, source: str | Path, overrides: Mapping[str, str], heldout: float) -> Preview:
        """Read up to 20,000 rows and store nothing.

        Raises:
            InputError: if the file can't be read, or no column looks like a query.
        """
        project = self.context.projects.get(project_name)
        task = get_task(project.config.task)
        records = list(islice(open_records(source), LOOKED_AT + 1))
        partly, records = len(records) > LOOKED_AT, records[:LOOKED_AT]
        names = list(dict.fromkeys(name for record in records[:1000] for name in record.values))
        if not names:
            raise InputError("no row of this file can be read")
        known = {role: name for role, name in overrides.items() if name in names or not name}
        blocks = list(read_queries(iter(records), known, heldout, project.config.task == "choice"))
        queries = {query.id: query for block in blocks for query in block.queries}
        found = sum(len(block.queries) for block in blocks)
        errors = [error for block in blocks for error in block.errors]
        golds = {key: gold for block in blocks for key, gold in block.golds.items()}
        rows = [
            {"query": task.render(query), "split": query.split.value, "label": golds.get(query.id, "-")}
            for query in list(queries.values())[:_SHOWN]
        ]
        texts = [task.render(query) for query in queries.values()]
        lengths, unit = _measure(texts[:: max(1, len(texts) // _MEASURED)])
        return Preview(
            names=names,
            columns=vars(guess_columns(names, known)),
            good=len(queries),
            bad=len(errors),
            duplicates=sum(block.duplicates for block in blocks) + found - len(queries),
            partly=partly,
            looked_at=len(records),
            rows=rows,
            lengths=lengths,
            unit=unit,
            errors=errors[:_ERRORS],
        )


def _measure(texts: Sequence[str]) -> tuple[list[int], str]:
    counter = find_in_files(str(packaged_student_folder()))
    if counter is None:
        return [len(text) for text in texts], "characters"
    return counter.lengths(texts), "tokens of the packaged student"
