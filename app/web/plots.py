"""The plots of the pages, with a colour a teacher as everywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go

from app.usecases.selection.comparison import Comparison
from app.usecases.selection.overviews import Points
from app.usecases.training.progress import Curve
from app.web.theme import TEACHER_COLOURS, stage_colour, teacher_colour
from engine.study import Record
from engine.study_table import ArmResult, Point
from engine.wording import counted

_SMALL = {"l": 40, "r": 10, "t": 36, "b": 40}
ACCENT, SECOND = TEACHER_COLOURS[0], "#64748b"
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
    legend = {"orientation": "h", "y": -0.2, "font": {"size": 10}}
    figure.update_layout(height=440, margin=_SMALL, legend=legend, hovermode="closest", **_QUIET)
    share = {"title": "share of samples kept", "range": [0, 1.02], "tickformat": ".0%"}
    figure.update_xaxes(gridcolor=_GRID, zeroline=False, **share)
    figure.update_yaxes(gridcolor=_GRID, tickformat=".0%", range=[lowest - 0.02, 1.01])
    return figure


def rationale_map(points: Points) -> go.Figure:
    """Rationales in a plane, a colour a teacher; small hollow ones are not kept."""
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


def curves_plot(curves: Sequence[Curve], withheld: Sequence[Curve], title: str) -> go.Figure:
    """Metrics by update, a colour a stage and a dash a run; what was measured on withheld rows as marks."""
    figure = go.Figure()
    runs = list(dict.fromkeys(curve.run for curve in curves))
    for curve in (*curves, *withheld):
        marks = curve in withheld
        name = f"{curve.step}{' withheld' if marks else ''}"
        if len(runs) > 1:
            name = f"{curve.run[:8]} {name}"
        colour = stage_colour(curve.step)
        figure.add_scatter(
            x=[curve.offset + update for update in curve.updates],
            y=curve.values,
            name=escape(name),
            mode="markers" if marks else "lines",
            line={
                "color": colour,
                "dash": _DASHES[runs.index(curve.run) % len(_DASHES)] if curve.run in runs else "solid",
            },
            marker={"color": colour, "size": 8, "symbol": "diamond"},
        )
    legend = {"orientation": "h", "y": -0.35}
    figure.update_layout(height=280, margin=_SMALL, xaxis_title="update", yaxis_title=title, legend=legend, **_QUIET)
    figure.update_xaxes(gridcolor=_GRID)
    figure.update_yaxes(gridcolor=_GRID)
    return figure


_TOKENS = "mean output tokens (student's tokenizer, log)"


def arms_plot(arms: Sequence[ArmResult]) -> go.Figure:
    """The score of each arm with its interval over seeds and queries, the first on top."""
    figure = go.Figure()
    figure.add_scatter(
        x=[arm.score for arm in arms],
        y=[escape(arm.arm) for arm in arms],
        mode="markers",
        marker={"color": ACCENT, "size": 10},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [arm.high - arm.score for arm in arms],
            "arrayminus": [arm.score - arm.low for arm in arms],
            "thickness": 1.5,
        },
        hovertemplate="%{y}: %{x:.3f}<extra></extra>",
    )
    height = 120 + 32 * len(arms)
    figure.update_layout(height=height, margin={**_SMALL, "l": 160}, xaxis_title="score", showlegend=False, **_QUIET)
    figure.update_xaxes(gridcolor=_GRID)
    figure.update_yaxes(gridcolor=_GRID, autorange="reversed")
    return figure


def front_plot(points: Sequence[Point]) -> go.Figure:
    """Score against mean output tokens of every student of every arm; those that count are filled.

    What arms have in common, as the untrained student, is drawn once, in grey.
    """
    figure = go.Figure()
    arms = list(dict.fromkeys(point.arm for point in points))
    places = Counter((point.system, point.score, point.tokens) for point in points)
    common = {place for place, count in places.items() if count > 1 and len(arms) > 1}
    groups: dict[str, list[Point]] = {}
    for point in points:
        place = (point.system, point.score, point.tokens)
        rows = groups.setdefault(point.system if place in common else point.arm, [])
        if place not in common or not rows:
            rows.append(point)
    for name, rows in groups.items():
        figure.add_scatter(
            x=[max(point.tokens, 0.5) for point in rows],
            y=[point.score for point in rows],
            text=[escape(point.system) for point in rows],
            name=escape(name),
            mode="markers",
            marker={
                "color": teacher_colour(arms, name) if name in arms else SECOND,
                "size": [12 if point.counts else 8 for point in rows],
                "symbol": ["circle" if point.counts else "circle-open" for point in rows],
            },
            hovertemplate="%{text}: %{y:.3f} with %{x:.1f} tokens<extra>%{fullData.name}</extra>",
        )
    legend = {"orientation": "h", "y": -0.28, "font": {"size": 10}}
    figure.update_layout(height=400, margin=_SMALL, yaxis_title="score", legend=legend, **_QUIET)
    figure.update_xaxes(type="log", gridcolor=_GRID, nticks=8, title={"text": _TOKENS, "font": {"size": 11}})
    figure.update_yaxes(gridcolor=_GRID, rangemode="tozero")
    return figure


def learning_plot(records: Sequence[Record]) -> go.Figure:
    """Training loss by update of each record, its stages one after the other, a colour an arm."""
    figure = go.Figure()
    arms = sorted({record.arm for record in records})
    for record in records:
        updates: list[float] = []
        values: list[float | None] = []
        offset = 0
        for curve in record.facts.get("curves", {}).values():
            updates += [offset + update for update, _ in curve]
            values += [value for _, value in curve]
            offset += curve[-1][0] if curve else 0
            updates.append(offset)
            values.append(None)
        colour = teacher_colour(arms, record.arm)
        figure.add_scatter(x=updates, y=values, name=escape(record.arm), mode="lines", line={"color": colour})
    legend = {"orientation": "h", "y": -0.35, "font": {"size": 10}}
    figure.update_layout(height=300, margin=_SMALL, xaxis_title="update", yaxis_title="loss", legend=legend, **_QUIET)
    figure.update_xaxes(gridcolor=_GRID)
    figure.update_yaxes(gridcolor=_GRID)
    return figure
