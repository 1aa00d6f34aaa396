"""The plot of the page Jobs and spend."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from html import escape
from typing import Any

import plotly.graph_objects as go

from app.web.theme import TEACHER_COLOURS, teacher_colour

_MOST = len(TEACHER_COLOURS) - 1
"""Series with a colour of their own; the smaller ones are drawn together."""
_DAYS = 90
_REST = "others"
_REST_COLOUR = "#8d97a6"
_GRID = "rgba(100, 116, 139, 0.3)"


def spend_plot(rows: Sequence[Mapping[str, Any]], by: str, teachers: Sequence[str] = ()) -> go.Figure | None:
    """US dollars by day as stacked bars, a colour each `by` (project or teacher); None where nothing cost anything.

    `rows` have day, project, teacher and cost, oldest first. At most the ninety last days with their gaps are drawn.
    Colours go by the places among all `teachers` of the project.
    """
    paid = [row for row in rows if row["cost"] > 0]
    if not paid:
        return None
    last = max(row["day"] for row in paid)
    begin = max(min(row["day"] for row in paid), last - timedelta(days=_DAYS - 1))
    days = [begin + timedelta(days=n) for n in range((last - begin).days + 1)]
    sums: defaultdict[str, defaultdict[date, float]] = defaultdict(lambda: defaultdict(float))
    totals: defaultdict[str, float] = defaultdict(float)
    for row in paid:
        totals[row[by]] += row["cost"]
    named = sorted(sorted(totals, key=lambda name: -totals[name])[:_MOST])
    for row in paid:
        sums[row[by] if row[by] in named else _REST][row["day"]] += row["cost"]
    series = [*named, *([_REST] if _REST in sums else [])]
    bars = [
        {
            "type": "bar",
            "name": escape(name),
            "x": [f"{day:%b} {day.day}" for day in days],
            "y": [sums[name].get(day, 0.0) for day in days],
            "marker": {"color": teacher_colour(teachers or named, name) if name in named else _REST_COLOUR},
            "hovertemplate": "%{x}: $%{y:.4f}<extra>" + escape(name) + "</extra>",
        }
        for name in series
    ]
    return go.Figure({"data": bars, "layout": _layout(len(days))}, _validate=False)


def _layout(days: int) -> dict[str, Any]:
    return {
        "barmode": "stack",
        "bargap": 0.35 if days > 3 else 0.8,
        "height": 240,
        "margin": {"l": 56, "r": 8, "t": 8, "b": 32},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": "#64748b", "size": 12},
        "showlegend": True,
        "legend": {"orientation": "h", "y": 1.18, "x": 0},
        "xaxis": {"type": "category", "nticks": 12, "tickangle": 0},
        "yaxis": {"tickprefix": "$", "gridcolor": _GRID, "rangemode": "tozero"},
    }
