"""What the page Data shows of traces: what files would give, and what was imported."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from app.usecases.data.imports import OutputReading
from app.usecases.data.trace_words import model_rows, system_rows, tell_noticed, tell_traces
from app.usecases.data.traces import TraceImport, TracePreview
from app.web.parts.imports import errors_html, folded_html
from app.web.parts.messages import notice_html
from app.web.parts.tables import table_html
from app.web.parts.tiles import Tile, tiles_html
from engine.personal import PERSONAL_TITLES
from engine.traces.tally import TraceTally
from engine.wording import counted

_RIGHT = ("replies", "with reasoning", "tokens known", "cost known", "US $", "traces", "different")


def traces_html(preview: TracePreview) -> str:
    """What files of traces would give: how many, by which models, what is noticed, and personal data to decide on."""
    tally = preview.tally
    rows = tally.read + tally.rejected + tally.skipped
    part = f"of the first {rows:,} rows" if preview.partly else preview.formats
    tiles = tiles_html(
        [
            Tile(f"{tally.taken:,}", "Traces", part, "good" if tally.taken else "bad"),
            Tile(f"{len(tally.models):,}", "Models", ", ".join(tally.models) or "no replies"),
            Tile(f"{tally.rejected:,}", "Rows with errors", "left out", "warn" if tally.rejected else ""),
            Tile(
                f"{tally.flagged:,}",
                "With personal data",
                "by pattern, nothing stored yet" if tally.flagged else "none found by pattern",
                "warn" if tally.flagged else "",
            ),
        ]
    )
    broken = f"The files can't be read to their end: {preview.broke_off}." if preview.broke_off else ""
    known = notice_html(f"Format: {preview.formats}.") if preview.partly else ""
    noticed = "".join(f"<li>{escape(line)}</li>" for line in tell_noticed(tally) if "left out:" not in line)
    listed = f"<ul class='noticed'>{noticed}</ul>" if noticed else ""
    return tiles + known + notice_html(broken, bad=True) + listed + personal_html(tally)


def details_html(preview: TracePreview) -> str:
    """The first traces as they are read, the teachers and system prompts that there are, and rows with errors."""
    tally = preview.tally
    items = "".join(_trace_html(row) for row in preview.rows)
    first = f"<div class='outputs'><h3>First traces, as they are read</h3>{items}</div>" if items else ""
    return first + _tables(tally) + errors_html("Rows with errors", tally.errors, tally.rejected)


def personal_html(tally: TraceTally) -> str:
    """Personal data by kind: in how many traces, how many different values, and where first."""
    rows = [
        {
            "Personal data": PERSONAL_TITLES.get(kind, kind),
            "traces": f"{count.traces:,}",
            "different": f"{count.different:,}",
            "first rows": ", ".join(count.rows),
        }
        for kind, count in tally.personal.items()
    ]
    if not rows:
        return ""
    return f"<div class='found'>{table_html(rows, 'Personal data, found by pattern', right=_RIGHT)}</div>"


def _tables(tally: TraceTally) -> str:
    if not tally.models:
        return ""
    models = table_html(model_rows(tally), "Recorded teachers", right=_RIGHT)
    systems = table_html(system_rows(tally), "System prompts", right=_RIGHT) if len(tally.systems) > 1 else ""
    return f"<div class='found'>{models}{systems}</div>"


def _trace_html(row: Mapping[str, str]) -> str:
    thought = f"<p class='quiet'>Reasoning: {escape(row['reasoning'])}</p>" if row["reasoning"] else ""
    return (
        f"<div class='item'><div class='quiet pre'>{escape(row['query'])}</div>{thought}<p>{escape(row['reply'])}</p>"
        f"<div class='quiet'>{escape(row['teacher'])}</div></div>"
    )


def imported_html(result: TraceImport, reading: OutputReading | None) -> str:
    """What an import of traces did."""
    said = notice_html(" ".join(tell_traces(result, reading)), tone="bad" if result.queries.broke_off else "good")
    details = f"<summary>{escape(_summary(result))}</summary><div>{_tables(result.tally)}</div>"
    errors = errors_html("Rows with errors, left out", result.tally.errors, result.tally.rejected)
    return f"{said}<details class='more'>{details}</details>{folded_html(errors)}"


def _summary(result: TraceImport) -> str:
    systems = len(result.tally.systems)
    models = counted(len(result.tally.models), "recorded teacher")
    return f"{models}, {counted(systems, 'system prompt')}" if systems > 1 else models
