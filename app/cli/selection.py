"""The commands that select, and that compare confidences with gold labels."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.options import DEFAULT_WORKSPACE, Json, ProjectName, Workspace, open_workspace, show

_WEIGHTS = (
    "FACTOR=WEIGHT, for a factor that teachers report or one of {engine.selection.factors:FACTORS}. "
    "Weights count in proportion to their sum."
)
_RULES = (
    "RULE or RULE:SETTING=VALUE,...: rules in the place of the preset's, in their order, of "
    "{engine.selection.rules:RULES}. `threshold:threshold=0.9`"
)
_COMPARE = (
    "Store nothing: compare these settings and all presets at equal numbers of kept samples, by gold labels, over the "
    "whole range of coverage."
)
_PRESET = "One of {engine.selection.settings:PRESETS}; left out: recordings where all teachers are, else paper."


def select(
    project: ProjectName,
    preset: Annotated[str | None, typer.Option(help=_PRESET)] = None,
    threshold: Annotated[float | None, typer.Option(min=0, max=1)] = None,
    weight: Annotated[list[str] | None, typer.Option(help=_WEIGHTS)] = None,
    rule: Annotated[list[str] | None, typer.Option(help=_RULES)] = None,
    disagreement: Annotated[str | None, typer.Option(help="Where labels differ: keep, majority or drop.")] = None,
    temperature: Annotated[float | None, typer.Option(help="Of the confidence; `tacit calibrate` fits one.")] = None,
    compare: Annotated[bool, typer.Option("--compare", help=_COMPARE)] = False,
    as_json: Json = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Dual-Criteria Rejection Sampling: keep the confident, and of each query the least similar pair."""
    from app.cli.results import show_comparison, show_selection
    from app.usecases.selection.comparison import to_json
    from engine.selection.settings import PAPER, PRESETS, read_selection

    changes = {"threshold": threshold, "disagreement": disagreement, "temperature": temperature}
    read_selection((PRESETS.get(preset) if preset else PAPER).config, changes, weight or [], rule or [])
    with open_workspace(workspace) as services:
        begun = services.select.preset(project)
        start = PRESETS.get(preset).config if preset else begun.config
        config = read_selection(start, changes, weight or [], rule or [])
        if compare:
            comparison = services.match.compare(project, config)
            show(as_json, to_json(comparison), lambda: show_comparison(comparison))
            return
        stored = services.select.select(project, config)
        services.calibrate.prepare(project, config)
        measured = services.calibrate.measure(project, config)
        draws = services.calibrate.measure_draws(project, config)
    data = {"selection": stored.id, "preset": preset or begun.preset, "config": config.model_dump(), **stored.counts}
    data |= {"notice": "" if preset else begun.notice, "calibration": measured and vars(measured), "draws": draws}
    show(as_json, data, lambda: show_selection(data))


def calibrate(
    project: ProjectName,
    as_json: Json = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Fit a temperature for the newest selection's confidences to gold labels; it changes nothing by itself."""
    from app.cli.results import show_fitted

    with open_workspace(workspace) as services:
        fitted = services.calibrate.fit(project, services.browse.settings(project))
    show(as_json, vars(fitted), lambda: show_fitted(project, fitted))
