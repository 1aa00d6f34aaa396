"""What the page Data shows of an import: what a project has, what a file would give, what was stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from app.usecases.data.imports import QueryImport
from app.usecases.data.previews import OutputPreview, Preview
from app.usecases.data.stored_queries import SPLIT_TITLES, QueryTotals
from app.usecases.data.words import tell_paraphrases, tell_queries, tell_spans
from app.web.parts.code import commands_html
from app.web.parts.histogram import Limit, histogram_html
from app.web.parts.messages import notice_html
from app.web.parts.tables import table_html
from app.web.parts.tiles import Tile, tiles_html
from app.web.queries_form import Given
from engine.columns import RowError
from engine.tasks import ROLES
from engine.wording import counted

_KINDS = 2
_ERRORS = 20
_OUTPUTS = 3


def totals_html(totals: QueryTotals) -> str:
    """What a project has, in numbers."""
    gold = f"{totals.heldout_gold:,} of {totals.heldout:,} held out" if totals.heldout else "none held out yet"
    named = list(totals.kinds)[:_KINDS]
    more = len(totals.kinds) - len(named)
    kinds = ", ".join(named) + (f" and {more} more" if more else "")
    share = f"{totals.heldout / totals.total:.0%} of all queries" if totals.heldout else "needed to evaluate"
    return tiles_html(
        [
            Tile(f"{totals.distill:,}", "To distill from", "teachers answer these"),
            Tile(f"{totals.heldout:,}", "Held out", share, "" if totals.heldout else "warn"),
            Tile(f"{totals.gold:,}", "With a gold label", gold),
            Tile(f"{len(totals.kinds):,}", "Kinds", kinds or "no column of kinds"),
        ]
    )


def first_html() -> str:
    """What stands above the import of a project that has no queries."""
    formats = "CSV, TSV, JSONL, JSON, Parquet or TXT, gzipped or not"
    return (
        "<div class='import-first'><h2>Import your queries</h2><p>Drop a file, or name a dataset on the Hub. Columns "
        f"are guessed, and you see every row that has an error before anything is stored. {formats}.</p></div>"
    )


def samples_html(preview: Preview, role: str, meaning: str) -> str:
    """A few values of the column that was chosen for a role; of a role without one what it is for."""
    if role not in preview.columns:
        return ""
    name = preview.columns[role]
    if not name:
        return f"<div class='samples none'>{escape(meaning)}</div>"
    values = preview.samples.get(name, [])
    lines = "".join(f"<div>{escape(value)}</div>" for value in values) or "<div>only empty values</div>"
    return f"<div class='samples' aria-label='{escape(f'Values of {name}')}'>{lines}</div>"


def preview_html(preview: Preview, second: Preview | None = None) -> str:
    """What a file would give: how many rows, the first of them, how long they are, and what is wrong with others."""
    if preview.asked:
        asked = notice_html(f"{preview.asked} Choose it above, and the others that the file has.", tone="warn")
        return asked + table_html(preview.rows, "First rows of the file")
    second_html = _held_html(second) if second is not None else ""
    first = [
        {"Query": row["query"], "Split": SPLIT_TITLES[row["split"]], "Gold label": row["label"]} for row in preview.rows
    ]
    rows = table_html(first, "First rows, as a teacher will read them (but for the gold label)")
    unit = preview.unit.replace("tokens of the packaged student", "student tokens")
    limit = Limit(preview.limit, "Context of the packaged student") if preview.limit else None
    lengths = histogram_html(preview.lengths, unit, f"Query length in {unit}", "queries", limit)
    beside = f"<div class='preview'><div>{rows}</div>{lengths}</div>"
    return _counts_html(preview) + _remarks_html(preview) + second_html + beside + _rows_html(preview)


def _counts_html(preview: Preview) -> str:
    part = f"of the first {preview.looked_at:,} rows" if preview.partly else f"of {counted(preview.looked_at, 'row')}"
    bad = "left out of the import" if preview.bad else "every row can be read"
    return tiles_html(
        [
            Tile(f"{preview.good:,}", "Valid queries", part, "good" if preview.good else "bad"),
            Tile(f"{preview.bad:,}", "Rows with errors", bad, "warn" if preview.bad else ""),
            Tile(f"{preview.duplicates:,}", "Duplicates", "imported once"),
        ]
    )


def _remarks_html(preview: Preview) -> str:
    lines = [*tell_spans(preview.spanning, preview.spans), *tell_paraphrases(preview.paraphrases)]
    broken = f"The file can't be read to its end: {preview.broke_off}." if preview.broke_off else ""
    return "".join(notice_html(line) for line in lines) + notice_html(broken, bad=True)


def _held_html(second: Preview) -> str:
    if second.asked:
        return notice_html(f"Held-out file: {second.asked} Name its columns as the other file's.", bad=True)
    said = (
        f"Held-out file: {counted(second.good, 'valid query', 'valid queries')}, "
        f"{counted(second.bad, 'row')} with errors, {counted(second.duplicates, 'duplicate')}. What both files hold "
        "is held out."
    )
    return notice_html(said, tone="" if second.good else "bad") + _rows_html(second)


def _rows_html(preview: Preview) -> str:
    errors = errors_html("Rows with errors", preview.errors, preview.bad)
    return errors + errors_html("Rows imported without their gold label", preview.notes, preview.noted)


def errors_html(title: str, errors: Sequence[RowError], total: int | None = None) -> str:
    """Rows by number, each with what is wrong; `total` where there are more than are told."""
    shown = [{"Row": error.row, "Reason": error.message} for error in errors[:_ERRORS]]
    count = len(errors) if total is None else total
    of = f"the first {len(shown)} of {count:,}" if count > len(shown) else f"{count:,}"
    return f"<div class='errors'>{table_html(shown, f'{title} ({of})')}</div>" if shown else ""


def stored_html(result: QueryImport, title: str = "") -> str:
    """What an import did."""
    head = f"{title}: " if title else ""
    said = notice_html(head + " ".join(tell_queries(result)), tone="bad" if result.broke_off else "good")
    left = errors_html("Rows with errors, left out", result.errors, result.rejected)
    left += errors_html("Rows imported without their gold label", result.notes, result.noted)
    return said + folded_html(left)


def folded_html(errors: str) -> str:
    """What `errors_html` gave, folded away."""
    return f"<details class='more'><summary>Rows with errors</summary><div>{errors}</div></details>" if errors else ""


def outputs_html(preview: OutputPreview) -> str:
    """What a file of outputs would give, by teacher, and what is wrong with its rows."""
    total = sum(preview.teachers.values())
    part = f"of the first {preview.looked_at:,} rows" if preview.partly else f"of {counted(preview.looked_at, 'row')}"
    named = ", ".join(f"{name} ({count:,})" for name, count in preview.teachers.items())
    tiles = tiles_html(
        [
            Tile(f"{total:,}", "Valid outputs", part, "good" if total else "bad"),
            Tile(f"{preview.rejected:,}", "Rows with errors", "left out", "warn" if preview.rejected else ""),
            Tile(f"{preview.unmatched:,}", "Without a query", "of this project", "warn" if preview.unmatched else ""),
        ]
    )
    broken = f"The file can't be read to its end: {preview.broke_off}." if preview.broke_off else ""
    said = notice_html(f"Teachers: {named}." if named else "") + notice_html(broken, bad=True)
    rows = "".join(_output_html(row) for row in preview.rows[:_OUTPUTS])
    errors = errors_html("Rows with errors", preview.errors, preview.rejected)
    first = f"<div class='outputs'><h3>First outputs, as they are read</h3>{rows}</div>" if rows else ""
    return tiles + said + first + errors + errors_html("Rows whose scores can't be read", preview.notes, preview.noted)


def _output_html(row: Mapping[str, Any]) -> str:
    answer = f" · answer {row['answer']}" if row["answer"] else ""
    return (
        f"<div class='item'><div class='quiet'>{escape(row['query'])}</div><p>{escape(row['rationale or reply'])}</p>"
        f"<div class='quiet'>{escape(row['teacher'] + answer)}</div></div>"
    )


def commands_html_of(project: str, given: Given, preview: Preview, second: Preview | None) -> str:
    """The commands that import the same; the file of held-out queries first, as the page does."""
    commands = []
    if second is not None and given.second_source is not None:
        commands.append(_command(project, given.second_source, second, 1.0))
    commands.append(_command(project, given.source, preview, given.held_share))
    return commands_html(commands)


def _command(project: str, source: str | Path, preview: Preview, share: float) -> list[str]:
    words = ["tacit", "import-queries", project, source.name if isinstance(source, Path) else source]
    there = {name.lower() for name in preview.names}
    for role, name in preview.columns.items():
        if name or there.intersection(ROLES[role].names):  # without it the command would take the usual one
            words += ["--column", f"{role}={name or ''}"]
    return [*words, "--heldout", f"{share:g}"]
