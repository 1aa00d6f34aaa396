"""The commands that select, and that compare confidences with gold labels."""

from __future__ import annotations

from typing import Annotated

import typer

from app.shell import DEFAULT_WORKSPACE, Json, ProjectName, Workspace, open_workspace, show

_WEIGHTS = (
    "FACTOR=WEIGHT: one that teachers report, or agreement_weighted, agreement, agreement_ds (a ranking score, not a "
    "probability), format."
)


def select(
    project: ProjectName,
    preset: Annotated[
        str | None,
        typer.Option(help="paper, recordings or none; left out: recordings where all teachers are, else paper."),
    ] = None,
    threshold: Annotated[float | None, typer.Option(min=0, max=1)] = None,
    weight: Annotated[list[str] | None, typer.Option(help=_WEIGHTS)] = None,
    disagreement: Annotated[str | None, typer.Option(help="keep, majority or drop.")] = None,
    temperature: Annotated[float | None, typer.Option(help="Of the confidence; `tacit calibrate` fits one.")] = None,
    as_json: Json = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Dual-Criteria Rejection Sampling: keep the confident, and of each query the least similar pair."""
    from app.showing import show_selection
    from engine.config import SELECTION_PRESETS, read_selection

    read_selection(preset or next(iter(SELECTION_PRESETS)), threshold, weight or [], disagreement, temperature)
    with open_workspace(workspace) as services:
        begun = services.select.preset(project)
        config = read_selection(preset or begun.name, threshold, weight or [], disagreement, temperature)
        stored = services.select.select(project, config)
        measured = services.calibrate.measure(project, config)
    data = {"selection": stored.id, "preset": preset or begun.name, "config": config.model_dump(), **stored.counts}
    data |= {"notice": "" if preset else begun.notice, "calibration": measured and vars(measured)}
    show(as_json, data, lambda: show_selection(data))


def calibrate(
    project: ProjectName,
    as_json: Json = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Fit a temperature for the newest selection's confidences to gold labels; it changes nothing by itself."""
    from app.showing import show_fitted

    with open_workspace(workspace) as services:
        config = services.context.selections.latest(services.context.projects.get(project).id).config
        fitted = services.calibrate.fit(project, config)
    show(as_json, vars(fitted), lambda: show_fitted(project, fitted))
