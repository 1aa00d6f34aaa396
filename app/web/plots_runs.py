"""Plots of what runs measure by update: one run's stages, and several runs over each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import log10
from textwrap import wrap
from typing import NamedTuple

import plotly.graph_objects as go

from app.usecases.training.progress import Curve
from app.web.theme import TEACHER_COLOURS, stage_colour
from engine.plans.titles import title_of

_GRID = "rgba(100, 116, 139, 0.3)"
_QUIET = {"paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "font": {"color": "#64748b", "size": 12}}
_MARGIN = {"l": 52, "r": 12, "t": 12, "b": 44}
_ROOM = 0.36
"""Room for labels at the right, as a share of the updates drawn."""
_LINE_PX, _HEIGHT = 15, 320
_LONGEST, _LINE, _LEAST = 40, 11, 1e-6
_MARK = "●\u00a0"
"""In the colour of a line, before its name: that is written in the colour of all text."""


def smooth(values: Sequence[float], weight: float) -> list[float]:
    """An exponential moving average, corrected for its beginning, as boards of training runs draw it."""
    smoothed, last, scale = [], 0.0, 0.0
    for value in values:
        last = weight * last + (1 - weight) * value
        scale = weight * scale + (1 - weight)
        smoothed.append(last / scale)
    return smoothed


def loss_plot(
    curves: Sequence[Curve], withheld: Sequence[Curve], weight: float, log: bool, stages: Sequence[str] = ()
) -> go.Figure:
    """One run: a colour a stage of its plan, the smoothed line over the faint raw one; withheld rows as marks."""
    figure = go.Figure()
    ends = [_draw(figure, curve, stage_colour(curve.step, stages), title_of(curve.step), weight) for curve in curves]
    for curve in withheld:
        figure.add_scatter(
            x=[curve.offset + update for update in curve.updates],
            y=curve.values,
            name=escape(f"{title_of(curve.step)}, withheld rows"),
            mode="markers",
            marker={"color": stage_colour(curve.step, stages), "size": 8, "symbol": "diamond"},
        )
    return name_ends(figure, ends, "loss", log)


def speed_plot(curves: Sequence[Curve], weight: float, stages: Sequence[str] = ()) -> go.Figure:
    """The throughput of one run, in the colours of its losses, whose names stand there."""
    figure = go.Figure()
    ends = [_draw(figure, curve, stage_colour(curve.step, stages), title_of(curve.step), weight) for curve in curves]
    name_ends(figure, [end._replace(name="") for end in ends], "tokens/s", False)
    return figure.update_xaxes(range=None, rangemode="tozero").update_yaxes(range=None, rangemode="tozero")


def compare_plot(curves: Sequence[Curve], names: Mapping[str, str], weight: float, log: bool) -> go.Figure:
    """Several runs over each other, a colour a run; `names` by id, in the order of the colours."""
    figure = go.Figure()
    ends: dict[str, End] = {}
    for curve in curves:
        colour = TEACHER_COLOURS[list(names).index(curve.run) % len(TEACHER_COLOURS)]
        ends[curve.run] = _draw(figure, curve, colour, f"{names[curve.run]}, {title_of(curve.step)}", weight)
    named = [end._replace(name=names[run]) for run, end in ends.items()]
    return name_ends(figure, named, "loss", log)


class End(NamedTuple):
    """Where a line ends, its colour, and what it is called ("": nothing is written there)."""

    x: float
    y: float
    colour: str
    name: str


def _draw(figure: go.Figure, curve: Curve, colour: str, name: str, weight: float) -> End:
    x = [curve.offset + update for update in curve.updates]
    drawn = smooth(curve.values, weight)
    if weight > 0:
        figure.add_scatter(
            x=x, y=curve.values, mode="lines", line={"color": colour, "width": 1}, opacity=0.25, hoverinfo="skip"
        )
    line = {"color": colour, "width": 2}
    hover = "update %{x:,}: %{y:.4g}<extra>" + escape(name) + "</extra>"
    mode = "lines" if len(x) > 1 else "markers"
    figure.add_scatter(x=x, y=drawn, name=escape(name), mode=mode, line=line, hovertemplate=hover)
    return End(float(x[-1]), drawn[-1], colour, name) if x else End(0.0, 0.0, colour, "")


def name_ends(figure: go.Figure, ends: Sequence[End], title: str, log: bool) -> go.Figure:
    """Name the lines to the right of all of them, from the highest last value on, each by its colour and its value.

    So that no name lies on a line that goes on, whichever ended before.
    """
    layout = {"height": _HEIGHT, "margin": _MARGIN, "showlegend": False, "hovermode": "closest"}
    figure.update_layout(**layout, **_QUIET)
    last = max((end[0] for end in ends), default=1.0)
    low, high = _range(figure, log)
    figure.update_xaxes(gridcolor=_GRID, title="update", range=[0, last * (1 + _ROOM)], zeroline=False)
    axis = "log" if log else "linear"
    figure.update_yaxes(gridcolor=_GRID, title=title, type=axis, range=[low, high], zeroline=False)
    if log:
        figure.update_yaxes(dtick="D2")
    inner = _HEIGHT - _MARGIN["t"] - _MARGIN["b"]
    named = sorted((end for end in ends if end.name), key=lambda end: -end.y)
    texts = [wrap(f"{_MARK}{end.name[:_LONGEST]} {end.y:.3g}", _LINE) for end in named]
    values = [log10(max(end.y, _LEAST)) if log else end.y for end in named]
    heights = [inner * (value - low) / ((high - low) or 1.0) for value in values]
    placed = stack([Label(y, _LINE_PX * len(lines)) for y, lines in zip(heights, texts, strict=True)], inner)
    for end, value, height, lines, shown in zip(named, values, heights, texts, placed, strict=True):
        figure.add_annotation(
            x=last,
            y=value,
            text=f"<span style='color:{end.colour}'>{_MARK}</span>" + "<br>".join(map(escape, lines))[len(_MARK) :],
            align="left",
            showarrow=False,
            xanchor="left",
            xshift=6,
            yshift=shown - height,
        )
    return figure


class Label(NamedTuple):
    """A name in px: the height that it wishes for, and how high it is itself."""

    y: float
    height: float


def stack(labels: Sequence[Label], inner: float) -> list[float]:
    """Heights at which no label covers another, in the order given, from above: each as near to its wish as can be.

    All lie between 0 and `inner`, as far as there is room.
    """
    placed: list[float] = []
    top = inner
    for label in labels:
        placed.append(min(label.y, top - label.height / 2))
        top = placed[-1] - label.height / 2
    foot = 0.0
    for place in reversed(range(len(placed))):
        placed[place] = max(placed[place], foot + labels[place].height / 2)
        foot = placed[place] + labels[place].height / 2
    return placed


def _range(figure: go.Figure, log: bool) -> tuple[float, float]:
    """What of the other axis is drawn, in its own numbers: the lines, with some room; raw values may leave it."""
    drawn_lines = [trace for trace in figure.data if trace.opacity is None]
    values = [value for trace in drawn_lines for value in trace.y if value is not None]
    drawn = [log10(max(value, _LEAST)) for value in values] if log else values
    low, high = min(drawn, default=0.0), max(drawn, default=1.0)
    room = 0.1 * ((high - low) or 1.0)
    return (low if low >= 0 and not log and low - room < 0 else low - room), high + room
