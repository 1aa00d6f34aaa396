"""A ladder drawn: who is asked, in which order, and who answers how much."""

from __future__ import annotations

from html import escape

from app.usecases.serving.saving_lines import rung_rows
from app.usecases.serving.savings import Saving
from engine.plans.titles import title_of


def rungs_html(saving: Saving) -> str:
    """A bar a rung, as long as its share of the answers, with when it answers."""
    rows = []
    for row, share in zip(rung_rows(saving), saving.choice.step.shares, strict=True):
        name, answers, when = map(escape, (title_of(str(row["rung"])), str(row["answers"]), str(row["when"])))
        fill = f"width:{100 * share:.1f}%;background:{saving.colours[str(row['rung'])]}"
        rows.append(
            f"<li><span class='name'>{name}</span>"
            f"<span class='track'><span class='fill' style='{fill}'></span></span>"
            f"<b>{answers}</b><span class='quiet'>{when}</span></li>"
        )
    return f"<ol class='rungs'>{''.join(rows)}</ol>"
