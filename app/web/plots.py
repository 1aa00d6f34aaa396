"""The plots of the pages, with a colour a teacher as everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from app.usecases.evaluation.comparisons import System
from app.usecases.selection.comparison import Comparison
from app.usecases.selection.overviews import Points, Survey
from app.usecases.selection.queries import Detail
from app.web.theme import TEACHER_COLOURS, stage_colour, teacher_colour
from engine.wording import counted

_SMALL = {"l": 40, "r": 10, "t": 36, "b": 40}
_WIDE = {"l": 90, "r": 10, "t": 36, "b": 60}
"""Room for names of teachers."""
ACCENT, SECOND = TEACHER_COLOURS[0], "#64748b"
_QUIET = {"paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "font_color": "#64748b"}
"""Readable on light and on dark."""
_GRID = "rgba(100, 116, 139, 0.3)"


_DASHES = ("solid", "dot", "dash", "dashdot", "longdash", "longdashdot")
"""A dash a run or a way to select, where several are drawn side by side."""


_STEADY = 0.05
"""From this share of samples on a band is wholly in view: of a handful it would flatten all lines."""


def histogram(shares: dict[str, list[int]], threshold: float | None) -> go.Figure:
    """Confidences by teacher, the threshold as a line where there is one.

    Written out as it is sent: building it call by call took longer than everything else on the page Select.
    """
    low = min((int(used[0]) for counts in shares.values() if (used := np.flatnonzero(counts)).size), default=0)
    names = sorted(shares)
    bars = [
        {
            "type": "bar",
            "x": [(place + 0.5) / len(counts) for place in range(len(counts))],
            "y": list(counts),
            "name": escape(teacher),
            "marker": {"color": teacher_colour(names, teacher)},
            "width": 1 / len(counts),
            "opacity": 0.6,
        }
        for teacher, counts in shares.items()
    ]
    lines = []
    if threshold is not None:
        lines.append({"type": "line", "x0": threshold, "x1": threshold, "y0": 0, "y1": 1, "yref": "y domain"})
    begin = min(low / _bins(shares), 1.0 if threshold is None else threshold) - 0.02
    layout = {
        "barmode": "overlay",
        "bargap": 0,
        "height": 260,
        "margin": _SMALL,
        "paper_bgcolor": _QUIET["paper_bgcolor"],
        "plot_bgcolor": _QUIET["plot_bgcolor"],
        "font": {"color": _QUIET["font_color"]},
        "shapes": [line | {"line": {"color": SECOND, "dash": "dash"}} for line in lines],
        "xaxis": {"title": {"text": "confidence"}, "range": [begin, 1.02], "gridcolor": _GRID},
        "yaxis": {"title": {"text": "samples"}, "gridcolor": _GRID},
    }
    return go.Figure({"data": bars, "layout": layout}, _validate=False)


def _bins(shares: dict[str, list[int]]) -> int:
    return len(next(iter(shares.values()), [0]))


def lengths(values: list[int], unit: str) -> go.Figure:
    """How long queries are."""
    figure = go.Figure(go.Histogram(x=values, nbinsx=40, marker_color=TEACHER_COLOURS[0]))
    figure.update_layout(height=260, margin=_SMALL, xaxis_title=unit, yaxis_title="queries", **_QUIET)
    figure.update_yaxes(gridcolor=_GRID)
    return figure


def heatmap(detail: Detail) -> go.Figure:
    """Cosine similarity of a query's rationales, the chosen pair outlined."""
    names = [f"{place}. {escape(row['teacher'])}" for place, row in enumerate(detail.samples, 1)]
    figure = _matrix(names, z=detail.cosines, hovertemplate="%{y} and %{x}: %{z:.3f}<extra></extra>")
    kept = [place for place, row in enumerate(detail.samples) if row["reason"] == "kept_pair"]
    if len(kept) == 2:
        for x, y in (kept, kept[::-1]):
            figure.add_shape(
                type="rect", x0=x - 0.5, x1=x + 0.5, y0=y - 0.5, y1=y + 0.5, line={"color": "#dc2626", "width": 3}
            )
    return figure


def likeness(survey: Survey) -> go.Figure:
    """How alike two teachers' rationales are on average."""
    return _matrix(
        [escape(name) for name in survey.teachers],
        z=survey.likeness.mean.round(4).tolist(),
        customdata=survey.likeness.shared.tolist(),
        hovertemplate="%{y} and %{x}: %{z:.3f} over %{customdata:,} pairs<extra></extra>",
    )


def _matrix(names: list[str], **cells: Any) -> go.Figure:
    """Cosines of all pairs, the first row on top."""
    scale = {"zmin": 0, "zmax": 1, "colorscale": "Blues", "texttemplate": "%{z:.2f}"}
    figure = go.Figure(go.Heatmap(x=names, y=names, **scale, **cells))
    figure.update_layout(height=300, margin=_WIDE, yaxis={"autorange": "reversed"}, **_QUIET)
    return figure


def sweep(survey: Survey) -> go.Figure:
    """What share of the queries keeps a sample, and how often those agree, by threshold; where one stands is marked."""
    x = survey.sweep.threshold.tolist()
    figure = go.Figure()
    figure.add_scatter(x=x, y=survey.sweep.coverage.tolist(), name="queries with a sample", line_color=ACCENT)
    agreement = [None if value != value else value for value in survey.sweep.agreement.tolist()]
    figure.add_scatter(x=x, y=agreement, name="of those with several, agreeing", line_color=SECOND)
    if survey.threshold is not None:
        figure.add_vline(x=survey.threshold, line_dash="dash", line_color="#64748b", annotation_text="you are here")
    legend = {"orientation": "h", "y": -0.35}
    figure.update_layout(height=300, margin=_SMALL, xaxis_title="threshold", legend=legend, **_QUIET)
    figure.update_xaxes(gridcolor=_GRID)
    figure.update_yaxes(gridcolor=_GRID, range=[0, 1.02], tickformat=".0%")
    return figure


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
    legend = {"orientation": "h", "y": -0.2, "font": {"size": 10}}
    figure.update_layout(height=440, margin=_SMALL, legend=legend, hovermode="closest", **_QUIET)
    share = {"title": "share of samples kept", "range": [0, 1.02], "tickformat": ".0%"}
    figure.update_xaxes(gridcolor=_GRID, zeroline=False, **share)
    figure.update_yaxes(gridcolor=_GRID, tickformat=".0%", range=[lowest - 0.02, 1.01])
    return figure


def rationale_map(points: Points) -> go.Figure:
    """Rationales in a plane, a colour a teacher; hollow ones are not kept."""
    figure = go.Figure()
    teachers = sorted(set(points.teachers))
    for teacher in teachers:
        for kept in (True, False):
            rows = [n for n, row in enumerate(points.teachers) if row == teacher and points.kept[n] is kept]
            colour = teacher_colour(teachers, teacher)
            figure.add_scattergl(
                x=[points.x[n] for n in rows],
                y=[points.y[n] for n in rows],
                text=[escape(points.queries[n]) for n in rows],
                name=f"{escape(teacher)}, {'kept' if kept else 'not kept'}",
                mode="markers",
                marker={"color": colour, "symbol": "circle" if kept else "circle-open", "size": 7 if kept else 5},
                hovertemplate="%{text}<extra>%{fullData.name}</extra>",
            )
    part = (
        f"{len(points.x):,} of {points.of:,} rationales"
        if len(points.x) < points.of
        else counted(points.of, "rationale")
    )
    title = {"text": f"{part}; two principal components, {points.shown:.0%} of the variance", "font_size": 13}
    legend = {"orientation": "h", "y": -0.1}
    figure.update_layout(height=420, margin=_SMALL, title=title, legend=legend, **_QUIET)
    figure.update_xaxes(showticklabels=False, gridcolor=_GRID, zeroline=False)
    figure.update_yaxes(showticklabels=False, gridcolor=_GRID, zeroline=False)
    return figure


_TOKENS = "mean output tokens (student's tokenizer, log)"


def tradeoff(systems: Sequence[System]) -> go.Figure:
    """Score against mean output tokens, a dot a system with its interval; up and to the left is better."""
    figure = go.Figure()
    for system in systems:
        row = system.report
        symbol = {"teacher": "diamond", "stage": "circle", "baseline": "square", "untrained": "x"}[system.group]
        figure.add_scatter(
            x=[row.mean_output_tokens],
            y=[row.accuracy],
            name=escape(row.name),
            mode="markers",
            marker={"color": stage_colour(row.name), "size": 14 if system.ship else 10, "symbol": symbol},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [row.ci_high - row.accuracy],
                "arrayminus": [row.accuracy - row.ci_low],
                "thickness": 1,
            },
            hovertemplate="%{y:.2f} with %{x:.1f} tokens<extra>%{fullData.name}</extra>",
        )
    measure = systems[0].report.measure if systems else "score"
    legend = {"orientation": "h", "y": -0.28, "font": {"size": 10}}
    figure.update_layout(height=400, margin=_SMALL, yaxis_title=measure, legend=legend, **_QUIET)
    figure.update_xaxes(type="log", gridcolor=_GRID, dtick="D2", title={"text": _TOKENS, "font": {"size": 11}})
    figure.update_yaxes(range=[-0.02, 1.02], gridcolor=_GRID)
    return figure
