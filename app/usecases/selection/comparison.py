"""Ways to select beside each other at equal numbers of kept samples, by how many of the kept labels are right.

For reports: gold labels score what the ways keep, and decide nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.usecases.selection.calibration import MOST_SCORED, CalibrateService
from app.usecases.selection.loaded_samples import LoadedSamples, gather_input
from app.usecases.selection.selections import SelectService
from app.usecases.workspace.context import Context
from engine.errors import ConfigError, StateError
from engine.selection.arrays import Selection
from engine.selection.comparison import RIGHT, UNSCORED, KeepCurve, find_wilson, trace
from engine.selection.select import order_samples
from engine.selection.settings import NONE, PRESETS, SelectionConfig
from engine.tasks import get_task
from engine.wording import counted, verb

AS_SET = "as set"
"""The name of settings that are no preset."""
SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)
"""Of all samples, where ways are told beside each other."""
_STEPS = 100
Ways = Mapping[str, tuple[str, SelectionConfig]]
"""Title and settings by name."""


@dataclass(frozen=True)
class Kept:
    """What a way keeps by its own rules, and of the `scored` labels among it the share that is right.

    `disagreements` as of `Selection`, `cosine` the mean of the kept pairs. `low` and `high` are Wilson's 95% interval;
    None where nothing that is kept is scored.
    """

    samples: int
    queries: int
    disagreements: int
    cosine: float | None
    scored: int
    right: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Way:
    """A way to select: what its rules keep (None: vectors are missing), and what more or fewer of its order would be.

    `line` is None where no gold label is known.
    """

    name: str
    title: str
    kept: Kept | None
    line: KeepCurve | None


@dataclass(frozen=True)
class Comparison:
    """All ways that a project has the evidence for, on its `samples`, of which the labels of `queries` are scored out
    of `of` with a gold label; `lacking` says of the other ways what is missing.
    """

    samples: int
    scored: int
    queries: int
    of: int
    ways: list[Way]
    lacking: list[str]


@dataclass(frozen=True)
class MatchService:
    """Use cases of comparing ways to select."""

    context: Context
    select: SelectService
    calibrate: CalibrateService

    def compare(self, project_name: str, config: SelectionConfig) -> Comparison:
        """These settings and all presets side by side, without what was decided by hand; nothing is stored.

        Raises:
            StateError: if there are no samples.
            ConfigError: if a weight names no factor of the task.
        """
        try:
            loaded = self.select.hold(project_name, SelectionConfig())
        except StateError:  # without vectors some ways have no pairs; where there are no samples this fails again
            loaded = self.select.hold(project_name, NONE.config)
        return self.compare_ways(project_name, loaded, self.list_ways(project_name, config))

    def list_ways(self, project_name: str, config: SelectionConfig, others: Ways = MappingProxyType({})) -> Ways:
        """These settings, others by name, and the presets; settings that come again are left out.

        Settings that come to a preset go by its name.
        """
        factors = get_task(self.context.projects.get(project_name).config.task).factors
        presets = {name: PRESETS.get(name) for name in PRESETS}
        name = self.name_preset(project_name, config) or AS_SET
        title = f"{presets[name].title} (as set)" if name in presets else "as set, nothing by hand"
        ways = {name: (title, config), **others}
        known = [_mark(way, factors) for _, way in ways.values()]
        more = {n: (p.title, p.config) for n, p in presets.items() if _mark(p.config, factors) not in known}
        return {**ways, **more}

    def name_preset(self, project_name: str, config: SelectionConfig) -> str:
        """The preset that settings come to, however they are written; "" where it is none."""
        factors = get_task(self.context.projects.get(project_name).config.task).factors
        own = _mark(config, factors)
        return next((name for name in PRESETS if _mark(PRESETS.get(name).config, factors) == own), "")

    def compare_ways(self, project_name: str, loaded: LoadedSamples, ways: Ways) -> Comparison:
        """As `compare`, for ways of one's own.

        Raises:
            ConfigError: if a weight of settings that are no preset names no factor.
        """
        project = self.context.projects.get(project_name)
        verdict, of = self.calibrate.verdicts(project, loaded)
        orders: dict[str, NDArray[np.float64]] = {}
        kept: dict[str, Kept | None] = {}
        lacking = []
        for name, (title, config) in ways.items():
            is_preset = name in PRESETS.names()
            try:
                order = order_samples(gather_input(self.context, project, loaded, config), config)
                chosen = self._apply(project_name, loaded, config)
            except ConfigError as error:
                if not is_preset:
                    raise
                lacking.append(f"{title}: {error}")
                continue
            if np.isnan(order).all():
                lacking.append(f"{title}: no sample has what it goes by. {PRESETS.get(name).help if is_preset else ''}")
                continue
            orders[name] = order
            kept[name] = None if chosen is None else _count(loaded, chosen, verdict)
        counts = _choose_counts(len(loaded.arrays), [own.samples for own in kept.values() if own])
        scored = verdict != UNSCORED
        lines = {name: trace(order, verdict, counts) if scored.any() else None for name, order in orders.items()}
        return Comparison(
            samples=len(verdict),
            scored=int(scored.sum()),
            queries=len(np.unique(loaded.arrays.query[scored])),
            of=of,
            ways=[Way(name, ways[name][0], kept[name], lines[name]) for name in orders],
            lacking=lacking,
        )

    def _apply(self, project_name: str, loaded: LoadedSamples, config: SelectionConfig) -> Selection | None:
        """What the settings keep; None where they need vectors that are not there."""
        if config.needs_vectors and loaded.cosines is None:
            return None
        return self.select.apply(project_name, loaded, config)


def _mark(config: SelectionConfig, reported: Sequence[str]) -> tuple[Any, ...]:
    """What tells settings apart by what they come to: weights count where confidences are read, by their shares."""
    rules = tuple((rule.kind, rule.model_dump_json()) for rule in config.rules)
    if not config.needs_confidence:
        return (rules,)
    weights = {name: weight for name, weight in (config.weights or dict.fromkeys(reported, 1.0)).items() if weight}
    whole = sum(weights.values())
    shares = tuple(sorted((name, round(weight / whole, 2)) for name, weight in weights.items()))
    return rules, shares, config.temperature


def _choose_counts(samples: int, own: Sequence[int]) -> NDArray[np.int64]:
    """The numbers of kept samples that ways are compared at: a hundred steps, and those of the ways' own rules."""
    steps = {round(samples * step / _STEPS) for step in range(1, _STEPS + 1)}
    return np.array(sorted({count for count in (*steps, *own) if count}), dtype=np.int64)


def _count(loaded: LoadedSamples, chosen: Selection, verdict: NDArray[np.int8]) -> Kept:
    mask = chosen.kept
    pairs = chosen.similarity[mask & ~np.isnan(chosen.similarity)]
    scored, hits = int((verdict[mask] != UNSCORED).sum()), int((verdict[mask] == RIGHT).sum())
    low, high = find_wilson(np.array([float(hits)]), np.array([float(scored)]))
    known = scored > 0
    return Kept(
        samples=int(mask.sum()),
        queries=len(np.unique(loaded.arrays.query[mask])),
        disagreements=chosen.disagreements,
        cosine=float(pairs.mean()) if len(pairs) else None,
        scored=scored,
        right=hits / scored if known else None,
        low=float(low[0]) if known else None,
        high=float(high[0]) if known else None,
    )


def find_point(way: Way, count: int) -> dict[str, float] | None:
    """What keeping so many samples in the order of a way comes to: right, low, high; None where that is not known."""
    if way.line is None or count not in way.line.kept:
        return None
    place = int(np.searchsorted(way.line.kept, count))
    values = {name: float(getattr(way.line, name)[place]) for name in ("right", "low", "high")}
    return None if np.isnan(values["right"]) else values


def list_ways(comparison: Comparison) -> list[dict[str, Any]]:
    """A row a way: what its own rules keep, and how much of that is right."""
    rows = []
    for way in comparison.ways:
        kept = way.kept
        row: dict[str, Any] = {
            "way": way.name,
            "what it is": way.title,
            "samples kept": kept and kept.samples,
            "queries kept": kept and kept.queries,
            "labels differ in": kept and kept.disagreements,
            "mean cosine of a pair": kept and kept.cosine,
        }
        if comparison.scored:
            row["labels right (95%)"] = _say_right(vars(kept)) if kept else "-"
        rows.append(row)
    return rows


def list_matched(comparison: Comparison) -> list[dict[str, Any]]:
    """A row a way: the share of right labels if each kept the same number of samples, the first in its order."""
    counts = {f"{share:.0%} = {round(comparison.samples * share):,}": share for share in SHARES}
    return [
        {"way": way.name}
        | {
            head: _say_right(find_point(way, round(comparison.samples * share)) or {"right": None})
            for head, share in counts.items()
        }
        for way in comparison.ways
        if way.line is not None
    ]


def say_interval(share: Mapping[str, Any] | None) -> str:
    """The interval of a share of right labels."""
    return "-" if share is None or share["right"] is None else f"[{share['low']:.3f}, {share['high']:.3f}]"


def _say_right(share: Mapping[str, Any]) -> str:
    return "-" if share["right"] is None else f"{share['right']:.3f} {say_interval(share)}"


def say_comparison(comparison: Comparison) -> list[str]:
    """What a comparison rests on, and what is not in it."""
    if not comparison.scored:
        said = ["No query that was answered has a gold label, so nothing can be said of how right the kept labels are."]
    else:
        part = f" ({MOST_SCORED:,} of {comparison.of:,} queries scored)" if comparison.of > MOST_SCORED else ""
        said = [
            f"By the gold labels of {counted(comparison.queries, 'query')}{part}; each way at equal numbers keeps the "
            f"first of {counted(comparison.samples, 'sample')} in its own order, and what it does not tell apart by "
            "chance. Intervals are Wilson's and take samples as independent. Selection reads no gold."
        ]
    missing = len(comparison.lacking)
    return [
        *said,
        *([f"{counted(missing, 'way')} {verb(missing, 'is')} left out:"] if missing else []),
        *comparison.lacking,
    ]


def to_json(comparison: Comparison) -> dict[str, Any]:
    """A comparison as one JSON value; the lines at all counts."""

    def line(points: KeepCurve) -> list[dict[str, Any]]:
        return [
            {
                "samples": int(kept),
                "coverage": float(kept) / comparison.samples,
                **{
                    name: None if np.isnan(value) else float(value)
                    for name, value in zip(("scored", "right", "low", "high"), values, strict=True)
                },
            }
            for kept, *values in zip(*points, strict=True)
        ]

    return {
        **{name: getattr(comparison, name) for name in ("samples", "scored", "queries", "of", "lacking")},
        "ways": [
            {
                "name": way.name,
                "title": way.title,
                "kept": way.kept and vars(way.kept),
                "line": None if way.line is None else line(way.line),
            }
            for way in comparison.ways
        ],
    }
