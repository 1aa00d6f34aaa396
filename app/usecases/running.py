"""Runs of plans: start, go on from step to step, stop, resume, and score at the end."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.usecases.context import POLL_S, Context
from app.usecases.scoring import score_run
from app.usecases.stages import StageBuilder
from engine.config import Plan, Step
from engine.errors import ConfigError, InputError, StateError, TacitError, WorkerFailed
from engine.jobs.spec import SPEC_FILE, StudentJob, write_atomically
from engine.types import Event, Job, JobStatus, RationaleOrigin, RunStatus, Split, hash_id
from storage.runs import Run, StepState

_RESUMABLE = (
    *(JobStatus.INTERRUPTED, JobStatus.CANCELLED, JobStatus.FAILED),
    *(JobStatus.NEEDS_KEY, JobStatus.CAPPED),
)


@dataclass(frozen=True)
class RunService:
    """Use cases of training and everything around it."""

    context: Context

    def start(self, project_name: str, plan: Plan) -> Run:
        """Start a run of a plan on the project's newest selection.

        Raises:
            NotFound: if nothing was selected yet.
            ConfigError: if the plan compresses and nobody can.
            StateError: if the plan evaluates and there are no held-out queries.
        """
        project = self.context.projects.get(project_name)
        selection = self.context.selections.latest(project.id)
        kinds = {step.kind for step in plan.steps}
        if "compress" in kinds:
            self._check_compressor(project.id, plan)
        if "evaluate" in kinds and not self.context.queries.get(project.id, Split.HELDOUT):
            raise StateError(f"{project.name!r} has no held-out queries to evaluate on; import some with --heldout")
        run_id = hash_id("run", project.id, selection.id, plan.fingerprint, time.time_ns())
        folder = self.context.workspace / "runs" / run_id
        folder.mkdir(parents=True)
        run = Run(run_id, project.id, selection.id, plan, str(folder), RunStatus.RUNNING, "")
        self.context.runs.add(run)
        self.advance(run)
        return run

    def _check_compressor(self, project_id: str, plan: Plan) -> None:
        providers = {spec.name: spec.provider for spec in self.context.projects.teachers(project_id)}
        recorded = [name for name, provider in providers.items() if provider == "recorded"]
        if recorded and providers.get(plan.compressor or "", "recorded") == "recorded":
            raise ConfigError(
                f"{', '.join(recorded)} can't rewrite rationales; name a live teacher as compressor, or "
                "leave stage 2 out"
            )

    def advance(self, run: Run) -> None:
        """Submit what comes next, or finish the run; a step that can't be built stops the run with the reason."""
        try:
            self._advance(run)
        except (TacitError, OSError) as error:
            self.context.runs.set_status(run.id, RunStatus.STOPPED, str(error))

    def _advance(self, run: Run) -> None:
        states = {state.name: state for state in self.context.runs.steps(run.id)}
        ahead = [step for step in run.plan.steps if states[step.name].status is not JobStatus.FINISHED]
        while ahead and ahead[0].kind == "review" and ahead[0].approve == "all":
            self.context.runs.set_step(
                run.id, ahead[0].name, status=JobStatus.FINISHED.value, result={"approved": "all"}
            )
            ahead = ahead[1:]
        if not ahead:
            score_run(self.context, run)
            self.context.runs.set_status(run.id, RunStatus.FINISHED)
        elif ahead[0].kind == "review":
            self.context.runs.set_status(
                run.id, RunStatus.WAITING, f"step {ahead[0].name} waits for a person to approve"
            )
        elif ahead[0].kind == "compress":
            answers = [step.name for step in run.plan.steps if step.kind == "answer"]
            spec = {"step": ahead[0].name, "answers": answers[-1] if answers else ""}
            self.context.submit(run.project_id, "compress", spec, run.id)
        else:
            self._submit_student_steps(run, _together(ahead, states))

    def _submit_student_steps(self, run: Run, steps: Sequence[Step]) -> None:
        job = self.context.prepare(run.project_id, "student", {"steps": [step.name for step in steps]}, run.id)
        builder = StageBuilder(self.context, run)
        folder = Path(job.folder)
        built = [builder.build(step, folder) for step in steps]
        if any(step.kind == "evaluate" and step.name == _first_evaluation(run.plan) for step in steps):
            teachers = builder.build_teachers(folder)
            built += [teachers] if teachers else []
        for step in steps:
            self.context.runs.set_step(run.id, step.name, fingerprint=builder.fingerprint(step), job_id=job.id)
        payload = StudentJob(student=run.plan.student, steps=tuple(built)).model_dump(mode="json")
        write_atomically(folder / SPEC_FILE, {"kind": "student", "payload": payload})
        self.context.queue(job)

    def approve(self, run_id: str) -> Run:
        """Approve the review that a run waits for, and go on.

        Raises:
            StateError: if it waits for none.
        """
        run = self.context.runs.get(run_id)
        waiting = next((s for s in self.context.runs.steps(run.id) if s.status is not JobStatus.FINISHED), None)
        if run.status is not RunStatus.WAITING or waiting is None:
            raise StateError(f"run {run.id} waits for no review; it is {run.status}")
        self.context.runs.set_step(run.id, waiting.name, status=JobStatus.FINISHED.value, result={"approved": "person"})
        self.context.runs.set_status(run.id, RunStatus.RUNNING)
        self.advance(run)
        return self.context.runs.get(run.id)

    def job_over(self, job: Job) -> None:
        """The supervisor's word that a job ended: go on, or stop with what happened."""
        if job.run_id is None:
            return
        run = self.context.runs.get(job.run_id)
        if job.status is JobStatus.FINISHED:
            self.advance(run)
            return
        for state in self.context.runs.steps(run.id):
            if state.status is JobStatus.RUNNING:
                self.context.runs.set_step(run.id, state.name, status=job.status.value)
        self.context.runs.set_status(run.id, RunStatus.STOPPED, f"{job.kind} job {job.status}: {job.message}")

    def stop_cut_off(self) -> None:
        """After a start: runs that a killed app left between two jobs are stopped, so that they can be resumed."""
        busy = {job.run_id for job in self.context.jobs.unfinished_jobs()}
        for run in self.context.runs.all():
            if run.status is RunStatus.RUNNING and run.id not in busy:
                self.context.runs.set_status(run.id, RunStatus.STOPPED, "cut off between two steps")

    def cancel(self, run_id: str) -> Run:
        """Stop a run: its job checkpoints and ends."""
        run = self.context.runs.get(run_id)
        for job in self.context.jobs.unfinished_jobs():
            if job.run_id == run.id:
                self.context.watch.cancel(job.id)
        return run

    def resume(self, run_id: str) -> Run:
        """Go on with a stopped run where its job was cut off, or do a finished one's stale steps again.

        Raises:
            StateError: if the run is neither stopped nor stale.
        """
        run = self.context.runs.get(run_id)
        if run.status is RunStatus.FINISHED and self._reset_stale(run):
            self.context.runs.set_status(run.id, RunStatus.RUNNING)
            self.advance(run)
            return self.context.runs.get(run.id)
        if run.status is not RunStatus.STOPPED:
            raise StateError(
                f"run {run.id} is {run.status}; only a stopped run, or one with stale steps, can be resumed"
            )
        self.context.runs.set_status(run.id, RunStatus.RUNNING)
        cut = [job for job in self.context.jobs.jobs_of(run.project_id) if job.run_id == run.id]
        if cut and cut[0].status in _RESUMABLE:
            self.context.jobs.update_job(cut[0].id, status=JobStatus.QUEUED, message="")
        else:
            self.advance(run)
        return self.context.runs.get(run.id)

    def score(self, run_id: str) -> None:
        """Score a run's answers anew and store the report."""
        score_run(self.context, self.context.runs.get(run_id))

    def edit_rationale(self, run_id: str, sample_id: str, text: str) -> int:
        """Write a new version of a compressed rationale by hand; earlier versions stay.

        Raises:
            InputError: if the text is empty, or the run has no rationale of that sample.
        """
        run = self.context.runs.get(run_id)
        if sample_id not in self.context.runs.rationales(run.id):
            raise InputError(f"run {run.id} has no compressed rationale of sample {sample_id!r}")
        if not text.strip():
            raise InputError("the new text is empty; nothing was changed")
        return self.context.runs.add_rationale(run, sample_id, RationaleOrigin.EDITED, text.strip())

    def wait_over(self, run_id: str) -> None:
        """Wait until none of a run's jobs is queued or running."""
        while any(job.run_id == run_id for job in self.context.jobs.unfinished_jobs()):
            time.sleep(POLL_S)

    def _reset_stale(self, run: Run) -> bool:
        """Queue the first stale step and all behind it again, without their results; False if none is stale."""
        stale = set(self.stale_steps(run.id))
        names = [step.name for step in run.plan.steps]
        first = next((place for place, name in enumerate(names) if name in stale), None)
        if first is None:
            return False
        for name in names[first:]:
            shutil.rmtree(Path(run.folder) / name, ignore_errors=True)
        self.context.runs.reset_steps(run.id, names[first:])
        return True

    def stale_steps(self, run_id: str) -> list[str]:
        """Finished train steps whose inputs have changed since, as after an edit of a rationale."""
        run = self.context.runs.get(run_id)
        builder = StageBuilder(self.context, run)
        states = {state.name: state for state in self.context.runs.steps(run.id)}
        return [
            step.name
            for step in run.plan.steps
            if step.kind == "train"
            and states[step.name].status is JobStatus.FINISHED
            and states[step.name].fingerprint != builder.fingerprint(step)
        ]

    def wait(self, run_id: str, on_event: Callable[[Event], None] = lambda event: None) -> Run:
        """Wait until a run is finished, waiting or stopped, telling the events of its jobs.

        Raises:
            WorkerFailed: if it stopped.
        """
        seen: dict[str, int] = {}
        while True:
            run = self.context.runs.get(run_id)
            for job in reversed(self.context.jobs.jobs_of(run.project_id)):
                if job.run_id == run.id:
                    for event in self.context.jobs.events(job.id, seen.get(job.id, 0)):
                        seen[job.id] = event.seq
                        on_event(event)
            if run.status is RunStatus.STOPPED:
                raise WorkerFailed(f"run {run.id} stopped: {run.message}. `tacit runs resume {run.id[:8]}` goes on.")
            if run.status is not RunStatus.RUNNING:
                return run
            if self.context.watch.failure is not None:
                raise WorkerFailed(f"watching over jobs failed: {self.context.watch.failure}")
            time.sleep(POLL_S)


def _first_evaluation(plan: Plan) -> str | None:
    return next((step.name for step in plan.steps if step.kind == "evaluate"), None)


def _together(ahead: Sequence[Step], states: dict[str, StepState]) -> list[Step]:
    """The steps that one worker can do in a row: up to a step of another kind, or one that needs their results."""
    steps: list[Step] = []
    for step in ahead:
        if step.kind not in ("train", "answer", "evaluate"):
            break
        if any(states[name].status is not JobStatus.FINISHED for name in step.equal_updates_to):
            break
        steps.append(step)
    return steps
