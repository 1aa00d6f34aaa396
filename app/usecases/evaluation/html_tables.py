"""The tables of a report as HTML, the same on the page and in the written report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from app.usecases.evaluation.charts import tradeoff_svg
from app.usecases.evaluation.comparisons import System
from app.usecases.evaluation.summary import Heading, KindTable, Table, dots_of
from engine.plans.titles import title_of


def _title(column: Heading) -> str:
    return escape(column.title)


def systems_html(table: Table, say: Callable[[Heading], str] = _title) -> str:
    """The comparison in its groups, the pick marked. `say`: a column's head as HTML."""
    head = "".join(f"<th scope='col' class='right'>{say(column)}</th>" for column in table.columns)
    body = []
    for title, lines in table.groups:
        body.append(f"<tr class='grouped'><th colspan='{len(table.columns) + 1}'>{escape(title)}</th></tr>")
        for line in lines:
            badge = " <span class='badge good'>Ship</span>" if line.ship else ""
            cells = "".join(
                f"<td class='right'>{escape(cell.text)}"
                + (f" <span class='quiet'>{escape(cell.more)}</span>" if cell.more else "")
                + "</td>"
                for cell in line.cells
            )
            kind = " class='picked'" if line.ship else ""
            body.append(f"<tr{kind}><th scope='row' class='short'>{escape(line.name)}{badge}</th>{cells}</tr>")
    return (
        f"<div class='plain whole' tabindex='0'><table><thead><tr><th scope='col'>System</th>{head}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def kinds_html(kinds: KindTable) -> str:
    """Scores by kind, shaded; what to ship for a kind alone is outlined."""
    head = "".join(
        f"<th scope='col' class='right'>{escape(kind)} <span class='quiet'>n = {kinds.counts[kind]:,}</span></th>"
        for kind in kinds.kinds
    )
    body = []
    for name, scores in kinds.rows:
        cells = []
        for kind, score in zip(kinds.kinds, scores, strict=True):
            ship = " ship" if kinds.ships[kind] == name else ""
            cells.append(
                "<td class='right'>-</td>"
                if score is None
                else f"<td class='right heat{ship}' style='--score:{100 * score:.0f}'>{score:.2f}</td>"
            )
        body.append(f"<tr><th scope='row' class='short'>{escape(title_of(name))}</th>{''.join(cells)}</tr>")
    return (
        f"<div class='plain whole' tabindex='0'><table><thead><tr><th scope='col'>System</th>{head}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table></div>"
        "<p class='quiet'>Outlined: what to ship for queries of that kind alone, where a gain is shown.</p>"
    )


def plot_html(systems: Sequence[System]) -> str:
    """Score against output tokens, drawn once for wide and once for narrow screens."""
    if not systems:
        return ""
    dots, measure = dots_of(systems), systems[0].report.measure
    drawn = tradeoff_svg(dots, measure, 940, 380) + tradeoff_svg(dots, measure, 340, 380)
    return f"<div class='card figure'>{drawn}</div>"
