"""What runs of a project share: steps that an earlier run did with equal inputs are taken over, not done again."""

from __future__ import annotations

import shutil
from pathlib import Path

from app.usecases.training.materials import StageBuilder
from app.usecases.workspace.context import Context
from engine.errors import StateError, TacitError
from engine.jobs.spec import KEEPS_LOG_PROBS
from engine.plans import Answer, AnyStep, Evaluate, Train
from engine.values import JobStatus
from storage.runs import Run, StepOf

TAKEN_FROM = "taken_from"
"""In a step's result: the run that did it."""


def take_over(context: Context, run: Run) -> list[str]:
    """Finish those steps of a new run that another run of its project did with equal fingerprints; their names.

    A fingerprint holds everything a step reads, the seed among it. Steps behind the first compressing are left: what
    they read is not known yet; so are those that take as many updates as others.
    """
    pipeline, taken = StageBuilder(context, run).pipeline, []
    for step in run.plan.steps:
        if not isinstance(step, (Train, Answer, Evaluate)):
            break
        try:
            fingerprint = pipeline.fingerprint(step)
        except StateError:  # nothing to train on or to score: told where it is to be done
            break
        equals_others = isinstance(step, Train) and step.equal_updates_to
        source = None if equals_others else context.runs.find_step(run.project_id, step.kind, fingerprint)
        if source is None:
            continue
        try:
            if not _copy(context, run, step, source):
                continue
        except (TacitError, OSError):  # what can't be copied is done
            shutil.rmtree(Path(run.folder) / step.name, ignore_errors=True)
            context.runs.reset_steps(run.id, [step.name])
            continue
        result = {TAKEN_FROM: source.run_id, **source.result}
        context.runs.set_step(
            run.id, step.name, status=JobStatus.FINISHED.value, fingerprint=fingerprint, result=result
        )
        taken.append(step.name)
    return taken


def _copy(context: Context, run: Run, step: AnyStep, source: StepOf) -> bool:
    """Copy what a step left; False where it is not there any more."""
    if isinstance(step, Train):
        adapter, target = Path(source.folder) / source.name / "adapter", Path(run.folder) / step.name / "adapter"
        if not adapter.is_dir():
            return False
        part = target.with_name("adapter.part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(adapter, part)
        part.rename(target)
    if isinstance(step, Evaluate) and KEEPS_LOG_PROBS not in source.result:
        return False  # of an older program: written again, its confidence is known
    system = step.system if isinstance(step, Evaluate) else None
    context.runs.copy_step((source.run_id, source.name), (run.id, step.name), system)
    return True
