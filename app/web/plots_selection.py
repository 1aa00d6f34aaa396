"""The two plots that move with the settings of a selection.

Written out as they are sent: building them call by call took longer than everything else on the page Select.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from app.web.theme import ACCENT, teacher_colour
from engine.selection.overviews import Sweep

_WIDTH, _GAP = 3, 0.05
"""Histograms beside each other, and the space between them."""
_GRID, _LINE, _TEXT = "rgba(100, 116, 139, 0.3)", "#64748b", 12
_CLEAR = "rgba(0,0,0,0)"


def small_multiples(shares: dict[str, list[int]], threshold: float | None, teachers: Sequence[str] = ()) -> go.Figure:
    """Confidences, a histogram a teacher on the same axes, the threshold as a line through all where there is one.

    Colours go by the places among the project's `teachers`.
    """
    names = sorted(shares)
    low = min((int(used[0]) for counts in shares.values() if (used := np.flatnonzero(counts)).size), default=0)
    begin = min([low / len(counts) for counts in shares.values()] + ([] if threshold is None else [threshold])) - 0.01
    highest = max((100 * max(counts) / (sum(counts) or 1) for counts in shares.values()), default=1.0)
    columns, rows = min(_WIDTH, len(names)), -(-len(names) // _WIDTH)
    bars: list[dict[str, Any]] = []
    layout = _layout(90 + 130 * rows, {"l": 46, "r": 12, "t": 26, "b": 46})
    layout |= {"shapes": [], "annotations": [], "bargap": 0.06}
    for place, name in enumerate(names):
        counts, number = shares[name], "" if place == 0 else str(place + 1)
        bars.append(_bars(name, counts, number, teacher_colour(teachers or names, name)))
        x, y = _domain(place % columns, columns), _domain(rows - 1 - place // columns, rows, 0.16)
        bottom, left = place + columns >= len(names), place % columns == 0
        layout[f"xaxis{number}"] = _axis(x, f"y{number}", [max(0.0, begin), 1.01], show=bottom) | {"nticks": 4}
        layout[f"yaxis{number}"] = _axis(y, f"x{number}", [0, 1.08 * highest], show=left) | {"ticksuffix": "%"}
        layout["annotations"].append(_title(escape(name), x[0], y[1]))
        if threshold is not None:
            line = {"type": "line", "xref": f"x{number}", "yref": f"y{number} domain", "y0": 0, "y1": 1}
            layout["shapes"].append(line | {"x0": threshold, "x1": threshold, "line": {"color": _LINE, "dash": "dash"}})
    layout["annotations"].append(
        _title("confidence", 0.5, 0, "center") | {"yshift": -26, "yanchor": "top", "font": {"size": _TEXT}}
    )
    return go.Figure({"data": bars, "layout": layout}, _validate=False)


def _bars(name: str, counts: list[int], number: str, colour: str) -> dict[str, Any]:
    total = sum(counts) or 1
    return {
        "type": "bar",
        "x": [(place + 0.5) / len(counts) for place in range(len(counts))],
        "y": [100 * count / total for count in counts],
        "customdata": list(counts),
        "width": 1 / len(counts),
        "marker": {"color": colour},
        "name": escape(name),
        "showlegend": False,
        "xaxis": f"x{number}",
        "yaxis": f"y{number}",
        "hovertemplate": "%{y:.1f}%, %{customdata:,} samples around %{x:.2f}<extra>%{fullData.name}</extra>",
    }


def coverage_plot(sweep: Sweep, threshold: float | None) -> go.Figure:
    """How often labels agree by how many queries keep a sample, along all thresholds; where one stands is marked."""
    known = ~np.isnan(sweep.agreement)
    x, y, at = (100 * sweep.coverage[known], 100 * sweep.agreement[known], sweep.threshold[known])
    line = {
        "type": "scatter",
        "mode": "lines",
        "x": x.tolist(),
        "y": y.tolist(),
        "customdata": at.tolist(),
        "line": {"color": _LINE, "width": 2},
        "showlegend": False,
        "hovertemplate": "threshold %{customdata:.3f}: %{x:.1f}% of queries, %{y:.1f}% agree<extra></extra>",
    }
    layout = _layout(240, {"l": 58, "r": 16, "t": 16, "b": 46})
    lowest = float(y.min()) if len(y) else 0.0
    pad = max(1.0, 0.12 * (100 - lowest))
    layout["xaxis"] = _axis([0, 1], "y", [-1, 103]) | {"title": _say("queries that keep a sample"), "ticksuffix": "%"}
    layout["yaxis"] = _axis([0, 1], "x", [lowest - pad, 100 + pad]) | {"title": _say("labels agree"), "ticksuffix": "%"}
    return go.Figure({"data": [line, *_here(sweep, threshold)], "layout": layout}, _validate=False)


def _here(sweep: Sweep, threshold: float | None) -> list[dict[str, Any]]:
    """The mark where the threshold that is set stands; none where nothing is known of it."""
    if threshold is None or threshold not in sweep.threshold:
        return []
    place = int(np.searchsorted(sweep.threshold, threshold))
    x, y = 100 * float(sweep.coverage[place]), 100 * float(sweep.agreement[place])
    if np.isnan(y):
        return []
    return [
        {
            "type": "scatter",
            "mode": "markers+text",
            "x": [x],
            "y": [y],
            "text": [f"you are here ({threshold:g})"],
            "textposition": "bottom left" if x > 50 else "bottom right",
            "textfont": {"size": _TEXT, "color": _LINE},
            "marker": {"size": 12, "color": ACCENT},
            "showlegend": False,
            "hovertemplate": f"threshold {threshold:g}: %{{x:.1f}}% of queries, %{{y:.1f}}% agree<extra></extra>",
        }
    ]


def _layout(height: int, margin: dict[str, int]) -> dict[str, Any]:
    font = {"size": _TEXT, "color": _LINE}
    return {"height": height, "margin": margin, "paper_bgcolor": _CLEAR, "plot_bgcolor": _CLEAR, "font": font}


def _domain(place: int, of: int, gap: float = _GAP) -> list[float]:
    """Where the part at a place lies among equal ones, from 0 to 1."""
    size = (1 - gap * (of - 1)) / of
    return [place * (size + gap), place * (size + gap) + size]


def _axis(domain: list[float], anchor: str, limits: list[float], show: bool = True) -> dict[str, Any]:
    return {
        "domain": domain,
        "anchor": anchor,
        "range": limits,
        "gridcolor": _GRID,
        "zeroline": False,
        "showticklabels": show,
        "nticks": 5,
        "tickfont": {"size": _TEXT},
        "ticks": "outside",
        "ticklen": 5 if show else 0,
        "tickcolor": _CLEAR,
    }


def _title(text: str, x: float, y: float, anchor: str = "left") -> dict[str, Any]:
    place = {"xref": "paper", "yref": "paper", "x": x, "y": y, "xanchor": anchor, "yanchor": "bottom"}
    return {"text": text, "showarrow": False, "font": {"size": 13}, **place}


def _say(text: str) -> dict[str, Any]:
    return {"text": text, "font": {"size": _TEXT}}
