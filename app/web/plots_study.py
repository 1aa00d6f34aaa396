"""Plots of a study: scores of its arms, scores against tokens, and losses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape
from math import log10

import plotly.graph_objects as go

from app.web.plots_runs import End, name_ends
from app.web.theme import ACCENT, teacher_colour
from engine.plans.titles import title_of
from engine.study import StudyRecord
from engine.study_table import ArmResult, Point

SECOND = "#64748b"
_MARGIN, _HEIGHT = {"l": 52, "r": 12, "t": 12, "b": 44}, 320
_QUIET = {"paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "font": {"color": "#64748b", "size": 12}}
_GRID = "rgba(100, 116, 139, 0.3)"


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
    height = max(_HEIGHT, 120 + 32 * len(arms))
    margin = {**_MARGIN, "l": 20 + 8 * max((len(arm.arm) for arm in arms), default=0)}
    figure.update_layout(height=height, margin=margin, xaxis_title="score", showlegend=False, **_QUIET)
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
        rows = groups.setdefault(title_of(point.system) if place in common else point.arm, [])
        if place not in common or not rows:
            rows.append(point)
    for name, rows in groups.items():
        figure.add_scatter(
            x=[max(point.tokens, 0.5) for point in rows],
            y=[point.score for point in rows],
            text=[escape(name) if point.counts or name not in arms else "" for point in rows],
            customdata=[escape(title_of(point.system)) for point in rows],
            name=escape(name),
            mode="markers+text",
            textposition="middle right",
            textfont={"size": 12},
            marker={
                "color": teacher_colour(arms, name) if name in arms else SECOND,
                "size": [12 if point.counts else 8 for point in rows],
                "symbol": ["circle" if point.counts else "circle-open" for point in rows],
            },
            hovertemplate="%{customdata}: %{y:.3f} with %{x:.1f} tokens<extra>%{fullData.name}</extra>",
        )
    figure.update_layout(height=_HEIGHT, margin=_MARGIN, yaxis_title="score", showlegend=False, **_QUIET)
    title = {"text": "mean output tokens (student's tokenizer, log)", "font": {"size": 12}}
    widest = [max(point.tokens, 0.5) for point in points] or [1.0]
    ends = [log10(min(widest)) - 0.1, log10(max(widest)) + 0.35]
    figure.update_xaxes(type="log", gridcolor=_GRID, dtick="D2", title=title, range=ends)
    figure.update_yaxes(gridcolor=_GRID, rangemode="tozero")
    return figure


def learning_plot(records: Sequence[StudyRecord]) -> go.Figure:
    """Training loss by update of each record, its stages one after the other, a colour an arm."""
    figure = go.Figure()
    arms = sorted({record.arm for record in records})
    ends: list[End] = []
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
        drawn = [(x, y) for x, y in zip(updates, values, strict=True) if y is not None]
        if drawn:
            ends.append(End(*drawn[-1], colour, record.arm))
    return name_ends(figure, ends, "loss", log=False)
