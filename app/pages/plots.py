"""The plots of the pages, with a colour a teacher as everywhere."""

from __future__ import annotations

from html import escape

import plotly.graph_objects as go

from app.theme import TEACHER_COLOURS, teacher_colour
from app.usecases.browsing import Detail

_SMALL = {"l": 40, "r": 10, "t": 36, "b": 40}
_QUIET = {"paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "font_color": "#64748b"}
"""Readable on light and on dark."""
_GRID = "rgba(100, 116, 139, 0.3)"


def histogram(shares: dict[str, list[int]], threshold: float) -> go.Figure:
    """Confidences by teacher, the threshold as a line."""
    figure = go.Figure()
    for teacher, counts in shares.items():
        width = 1 / len(counts)
        places = [width * (place + 0.5) for place in range(len(counts))]
        figure.add_bar(
            x=places, y=counts, name=escape(teacher), marker_color=teacher_colour(list(shares), teacher), width=width
        )
    figure.add_vline(x=threshold, line_dash="dash", line_color="#64748b")
    figure.update_layout(
        barmode="overlay",
        height=260,
        margin=_SMALL,
        xaxis_title="confidence",
        yaxis_title="samples",
        bargap=0,
        **_QUIET,
    )
    figure.update_traces(opacity=0.6)
    figure.update_xaxes(range=[0, 1.02], gridcolor=_GRID)
    figure.update_yaxes(gridcolor=_GRID)
    return figure


def lengths(values: list[int], unit: str) -> go.Figure:
    """How long queries are."""
    figure = go.Figure(go.Histogram(x=values, nbinsx=40, marker_color=TEACHER_COLOURS[0]))
    figure.update_layout(height=260, margin=_SMALL, xaxis_title=unit, yaxis_title="queries", **_QUIET)
    figure.update_yaxes(gridcolor=_GRID)
    return figure


def heatmap(found: Detail) -> go.Figure:
    """Cosine similarity of a query's rationales, the chosen pair outlined."""
    names = [f"{place}. {escape(row['teacher'])}" for place, row in enumerate(found.samples, 1)]
    figure = go.Figure(
        go.Heatmap(
            z=found.cosines,
            x=names,
            y=names,
            zmin=0,
            zmax=1,
            colorscale="Blues",
            texttemplate="%{z:.2f}",
            hovertemplate="%{y} and %{x}: %{z:.3f}<extra></extra>",
        )
    )
    kept = [place for place, row in enumerate(found.samples) if row["reason"] == "kept_pair"]
    if len(kept) == 2:
        for x, y in (kept, kept[::-1]):
            figure.add_shape(
                type="rect", x0=x - 0.5, x1=x + 0.5, y0=y - 0.5, y1=y + 0.5, line={"color": "#dc2626", "width": 3}
            )
    margin = {"l": 90, "r": 10, "t": 36, "b": 60}
    figure.update_layout(height=300, margin=margin, yaxis={"autorange": "reversed"}, **_QUIET)
    return figure
