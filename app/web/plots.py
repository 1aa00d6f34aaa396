"""The plots of the pages, with a colour a teacher as everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go

from app.usecases.selection.comparison import Comparison
from app.usecases.selection.overviews import Points
from app.web.theme import TEACHER_COLOURS, teacher_colour
from engine.wording import counted

_SMALL = {"l": 40, "r": 10, "t": 36, "b": 40}
_QUIET = {"paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "font_color": "#64748b"}
"""Readable on light and on dark."""
_GRID = "rgba(100, 116, 139, 0.3)"


_DASHES = ("solid", "dot", "dash", "dashdot", "longdash", "longdashdot")
"""A dash a run or a way to select, where several are drawn side by side."""


_STEADY = 0.05
"""From this share of samples on a band is wholly in view: of a handful it would flatten all lines."""


def ways_plot(comparison: Comparison) -> go.Figure:
    """How right the kept labels are by the share of samples kept, a line a way with Wilson's band.

    A mark with its interval stands where a way's own rules stop; a line ends where its evidence does.
    """
    figure, lowest = go.Figure(), 1.0
    for place, way in enumerate(comparison.ways):
        if way.line is None:
            continue
        colour, title = TEACHER_COLOURS[place % len(TEACHER_COLOURS)], escape(way.title)
        known = ~np.isnan(way.line.right)
        x = way.line.kept[known] / max(1, comparison.samples)
        right, low, high = (values[known] for values in (way.line.right, way.line.low, way.line.high))
        band = {"x": [*x, *x[::-1]], "y": [*high, *low[::-1]], "fill": "toself", "fillcolor": colour, "opacity": 0.08}
        same = {"legendgroup": way.name, "name": escape(way.name)}
        lowest = min([lowest, *right, *low[x >= _STEADY]])
        figure.add_scatter(**band, **same, line_width=0, hoverinfo="skip", showlegend=False)
        figure.add_scatter(
            x=x,
            y=right,
            customdata=np.stack([low, high], axis=1),
            hovertemplate="%{y:.3f} [%{customdata[0]:.2f}, %{customdata[1]:.2f}] of %{x:.0%}"
            + f"<extra>{title}</extra>",
            line={"color": colour, "dash": _DASHES[place % len(_DASHES)]},
            **same,
        )
        kept = way.kept
        if kept is not None and kept.right is not None and kept.low is not None and kept.high is not None:
            bars = {"array": [kept.high - kept.right], "arrayminus": [kept.right - kept.low], "symmetric": False}
            figure.add_scatter(
                x=[kept.samples / max(1, comparison.samples)],
                y=[kept.right],
                error_y={"type": "data", "thickness": 1, **bars},
                mode="markers",
                marker={"color": colour, "size": 10, "symbol": "diamond"},
                hovertemplate="%{y:.3f} by its own rules, %{x:.0%} kept" + f"<extra>{title}</extra>",
                showlegend=False,
                **same,
            )
    legend = {"orientation": "h", "y": -0.2, "font": {"size": 12}}
    figure.update_layout(height=440, margin=_SMALL, legend=legend, hovermode="closest", **_QUIET)
    share = {"title": "share of samples kept", "range": [0, 1.02], "tickformat": ".0%"}
    figure.update_xaxes(gridcolor=_GRID, zeroline=False, **share)
    figure.update_yaxes(gridcolor=_GRID, tickformat=".0%", range=[lowest - 0.02, 1.01])
    return figure


def rationale_map(points: Points, known: Sequence[str] = ()) -> go.Figure:
    """Rationales in a plane, a colour a teacher of the `known` ones; small hollow ones are not kept."""
    figure = go.Figure()
    teachers = sorted(set(points.teachers))
    for teacher in teachers:
        for kept in (True, False):
            rows = [n for n, row in enumerate(points.teachers) if row == teacher and points.kept[n] is kept]
            colour = teacher_colour(known or teachers, teacher)
            figure.add_scattergl(
                x=[points.x[n] for n in rows],
                y=[points.y[n] for n in rows],
                text=[escape(points.queries[n]) for n in rows],
                name=escape(teacher),
                legendgroup=teacher,
                showlegend=kept,
                mode="markers",
                marker={"color": colour, "symbol": "circle" if kept else "circle-open", "size": 7 if kept else 5},
                hovertemplate=f"%{{text}}<extra>%{{fullData.name}}, {'kept' if kept else 'not kept'}</extra>",
            )
    part = (
        f"{len(points.x):,} of {points.of:,} rationales"
        if len(points.x) < points.of
        else counted(points.of, "rationale")
    )
    said = f"{part} (filled: kept) by two principal components, {points.shown:.0%} of the variance"
    title = {"text": said, "font_size": 13}
    legend = {"orientation": "h", "y": -0.02, "itemsizing": "constant"}
    figure.update_layout(height=420, margin=_SMALL, title=title, legend=legend, **_QUIET)
    figure.update_xaxes(showticklabels=False, gridcolor=_GRID, zeroline=False)
    figure.update_yaxes(showticklabels=False, gridcolor=_GRID, zeroline=False)
    return figure
