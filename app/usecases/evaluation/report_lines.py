"""The lines of a report as terminal and pages show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.evaluation.measures import MEASURES, Measure, find_columns
from engine.plans.titles import title_of
from engine.values.report import EVERY_REPORT, SECONDS, TOKENS, TOKENS_P95, WHOLE, Difference, ReportRow


def report_lines(rows: Sequence[ReportRow]) -> list[dict[str, Any]]:
    """A report's rows over all kinds as they are shown."""
    return [
        {
            "system": row.name,
            "n": row.n,
            row.measure: f"{row.accuracy:.2f}",
            "95%": f"{row.ci_low:.2f}-{row.ci_high:.2f}",
            "parsed": f"{row.parse_rate:.2f}",
            "tokens": show_measure(row, TOKENS),
            "p95": show_measure(row, TOKENS_P95),
            "s": show_measure(row, SECONDS),
        }
        for row in rows
        if row.kind == WHOLE
    ]


def more_lines(rows: Sequence[ReportRow]) -> list[dict[str, Any]]:
    """What a report's rows over all kinds came to by the measures that not every report has; none where there are none.

    A measure with a value for each of several parts has a column each.
    """
    whole = [row for row in rows if row.kind == WHOLE]
    columns = find_columns(name for row in whole for name in row.values if name not in EVERY_REPORT)
    return [
        {"system": row.name, **{title: _show(measure, row, name) for name, (title, measure) in columns.items()}}
        for row in whole
        if columns
    ]


def name_lines(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same lines with the systems' names as people read them."""
    return [line | {"system": title_of(line["system"])} for line in lines]


def show_measure(row: ReportRow, name: str) -> str:
    """What a measure came to in a row, as it is written; "-" where that is not known."""
    return _show(MEASURES.get(name), row, name)


def _show(measure: Measure, row: ReportRow, name: str) -> str:
    return measure.show(row.values[name]) if name in row.values else "-"


def kinds_lines(rows: Sequence[ReportRow]) -> list[dict[str, Any]]:
    """Accuracy by kind, a column each; nothing where kinds are not told apart."""
    names = list(dict.fromkeys(row.name for row in rows))
    by_name = {name: {row.kind: row for row in rows if row.name == name} for name in names}
    kinds = sorted({row.kind for row in rows} - {WHOLE})
    if not kinds:
        return []
    return [
        {"system": name, **{kind: f"{cells[kind].accuracy:.2f}" if kind in cells else "-" for kind in kinds}}
        for name, cells in by_name.items()
    ]


def difference_lines(rows: Sequence[Difference]) -> list[dict[str, Any]]:
    """Paired differences as they are shown."""
    return [
        {
            "system": row.name,
            "against": row.baseline,
            "n": row.n,
            "accuracy gained": f"{row.difference:+.2f} [{row.ci_low:+.2f}, {row.ci_high:+.2f}]",
        }
        for row in rows
    ]
