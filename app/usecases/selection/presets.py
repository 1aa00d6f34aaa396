"""The settings of selection that a project begins with, before anybody chose others."""

from __future__ import annotations

from dataclasses import dataclass

from app.usecases.workspace.context import Context
from engine.selection.settings import PAPER, RECORDINGS, SelectionConfig
from storage.projects import Project


@dataclass(frozen=True)
class Begun:
    """The settings that a selection begins with, the preset that they are of, if any, and why it is that one."""

    preset: str
    config: SelectionConfig
    notice: str = ""


def find_preset(context: Context, project: Project) -> Begun:
    """The recordings' preset where all teachers are recordings and most of their samples have no scores, else the
    paper's.
    """
    teachers = context.projects.teachers(project.id)
    if not teachers or any(spec.provider != "recorded" for spec in teachers):
        return Begun(PAPER.name, PAPER.config)
    samples, scored = context.samples.count_scored(project.id)
    if 2 * scored > samples:
        return Begun(PAPER.name, PAPER.config)
    return Begun(
        RECORDINGS.name,
        RECORDINGS.config,
        "All teachers are recordings without scores of their own, so this begins with the preset for recordings: "
        "confidence is the share of the teachers' votes for a label, weighted by reliability, with a threshold of "
        f"{RECORDINGS.config.cut:g}.",
    )
