"""Runs of plans: start, go on from step to step, stop, resume, and score at the end."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.usecases.compression.compressions import AGAIN, CompressService
from app.usecases.evaluation.scores import SCORE, submit_score
from app.usecases.evaluation.verdicts import best_student
from app.usecases.selection.selections import SelectService
from app.usecases.training.materials import TEACHERS, StageBuilder
from app.usecases.training.progress import why_not_resumed
from app.usecases.training.run_names import check_name
from app.usecases.training.sharing import take_over
from app.usecases.training.webhook import Webhook
from app.usecases.workspace.context import POLL_S, Context
from engine.errors import StateError, TacitError, WorkerFailed
from engine.jobs.backends import BACKENDS
from engine.jobs.spec import SecondDrawsJob, StudentJob
from engine.pipeline import find_next
from engine.plans import Answer, AnyStep, Compress, Evaluate, Plan, Review, Train
from engine.plans.registry import check_plan
from engine.students import check_student
from engine.tasks import require_parts
from engine.train.batches import share_batch
from engine.values import Event, Job, JobStatus, RunStatus, Split, hash_id
from storage.runs import Run

_RESUMABLE = (
    *(JobStatus.INTERRUPTED, JobStatus.CANCELLED, JobStatus.FAILED),
    *(JobStatus.NEEDS_KEY, JobStatus.CAPPED, JobStatus.QUARANTINED),
)


@dataclass(frozen=True)
class RunService:
    """Use cases of training and everything around it."""

    context: Context
    compressing: CompressService
    selecting: SelectService
    webhook: Webhook = field(default_factory=Webhook)
    lock: threading.RLock = field(default_factory=threading.RLock)
    """Held where a run goes on, so that two who press at once don't both start its next step."""

    def start(self, project_name: str, plan: Plan, share: bool = False, name: str = "", note: str = "") -> Run:
        """Start a run of a plan, on the plan's own selection or else the project's newest.

        With `share` it takes over from earlier runs of the project what they made of equal inputs, up to the first
        compressing. `name` and `note` as in `rename`.

        Raises:
            InputError: as `rename`.
            ConfigError: as `check`, or if the student can't be had.
            MissingPart: if the packaged student is not installed.
            NotFound, StateError: as `check`.
        """
        project = self.context.projects.get(project_name)
        self.check(project_name, plan)
        check_student(plan.student)
        named = check_name(self.context.runs.all(project.id), None, name, note)
        with self.selecting.lock:  # nobody selects anew before the run holds what it is built on
            selection = self.selecting.select_for(project_name, plan)
            run_id = hash_id("run", project.id, selection.id, plan.fingerprint, time.time_ns())
            folder = self.context.workspace / "runs" / run_id
            folder.mkdir(parents=True)
            run = Run(run_id, project.id, selection.id, plan, str(folder), RunStatus.RUNNING, "", *named)
            self.context.runs.add(run)
        if share:
            take_over(self.context, run)
        self.advance(run)
        return self.context.runs.get(run.id)

    def rename(self, run_id: str, name: str, note: str) -> Run:
        """Give a run another name ("": its number) and note.

        Raises:
            InputError: if one is too long, or another run of the project is known by the name.
        """
        run = self.context.runs.get(run_id)
        with self.lock:
            self.context.runs.rename(run.id, *check_name(self.context.runs.all(run.project_id), run, name, note))
        return self.context.runs.get(run.id)

    def check(self, project_name: str, plan: Plan) -> None:
        """Whether a project has what a plan works on; the student itself is not looked for.

        Raises:
            NotFound: if nothing was selected yet.
            ConfigError: if the plan names what is not installed, compresses and nobody can, or has batches that can't
                be shared out here.
            StateError: if the plan evaluates and there are no held-out queries.
            MissingPart: if the task runs answers and there is no sandbox here.
        """
        project = self.context.projects.get(project_name)
        check_plan(plan)
        require_parts(project.config.task)
        BACKENDS.get(plan.backend)
        if plan.selection is None:
            self.context.selections.latest(project.id)
        elif not self.selecting.has_samples(project_name):
            raise StateError(f"{project_name!r} has no samples to select from; label its queries first")
        if any(isinstance(step, Compress) for step in plan.steps):
            self.compressing.check_compressor(project.id, plan)
        for step in plan.trained:
            share_batch(step.train.batch_size, self.context.watch.devices)
        if plan.evaluated and not self.context.queries.counts(project.id).get(Split.HELDOUT.value):
            raise StateError(f"{project.name!r} has no held-out queries to evaluate on; import some as held out")

    def advance(self, run: Run) -> None:
        """Submit what comes next, or finish the run; a step that can't be built stops the run with the reason."""
        try:
            self._advance(run)
        except (TacitError, OSError) as error:
            self._end(run, RunStatus.STOPPED, str(error))

    def _end(self, run: Run, status: RunStatus, message: str = "") -> None:
        """Set how a run ended by itself, and tell whoever wants to know; nothing that was said to it is told."""
        self.context.runs.set_status(run.id, status, message)
        project = self.context.projects.get(run.project_id)
        best = best_student(self.context, run) if status is RunStatus.FINISHED else None
        self.webhook.tell(
            {
                "run": self.context.runs.get(run.id).title,
                "project": project.name,
                "status": "finished" if status is RunStatus.FINISHED else "failed",
                "score": best.accuracy if best else None,
            }
        )

    def _advance(self, run: Run) -> None:
        states = self.context.runs.steps(run.id)
        passed, steps = find_next(run.plan, {s.name for s in states if s.status is JobStatus.FINISHED})
        for review in passed:
            self.context.runs.set_step(run.id, review.name, status=JobStatus.FINISHED.value, result={"approved": "all"})
        first = steps[0] if steps else None
        if first is None:
            if submit_score(self.context, run) is None:
                self._end(run, RunStatus.FINISHED)
        elif isinstance(first, Review):
            self.context.runs.set_status(run.id, RunStatus.WAITING, f"step {first.name} waits for a person to approve")
        elif isinstance(first, Compress):
            fingerprint = StageBuilder(self.context, run).pipeline.fingerprint(first)
            job = self.context.submit(run.project_id, "compress", {"step": first.name}, run.id)
            self.context.runs.set_step(run.id, first.name, fingerprint=fingerprint, job_id=job.id)
        else:
            self._submit_student_steps(run, steps)

    def _submit_student_steps(self, run: Run, steps: Sequence[AnyStep]) -> None:
        builder = StageBuilder(self.context, run)

        def fill(job: Job) -> StudentJob:
            built = [builder.build(step, job.path) for step in steps if isinstance(step, (Train, Answer, Evaluate))]
            first = any(step in run.plan.evaluated[:1] for step in steps)
            if first or not self.context.runs.answers(run.id, TEACHERS):
                teachers = builder.build_teachers(job.path)
                built += [teachers] if teachers else []
            for step in steps:
                fingerprint = builder.pipeline.fingerprint(step)
                self.context.runs.set_step(run.id, step.name, fingerprint=fingerprint, job_id=job.id)
            return StudentJob(student=run.plan.student, steps=tuple(built), threads=run.threads)

        spec = {"steps": [step.name for step in steps]}
        self.context.submit(run.project_id, StudentJob.kind, spec, run.id, fill, run.plan.backend)

    def approve(self, run_id: str, rest: bool = True) -> Run:
        """End the review that a run waits for, and go on with what is approved; with `rest` all else is approved too.

        Raises:
            StateError: if it waits for none, or nothing is approved.
        """
        with self.lock:
            run = self.context.runs.get(run_id)
            waiting = next((s for s in self.context.runs.steps(run.id) if s.status is not JobStatus.FINISHED), None)
            if run.status is not RunStatus.WAITING or waiting is None:
                raise StateError(f"run {run.id} waits for no review; it is {run.status}")
            compress = run.plan.before(waiting.name, Compress)
            if rest:
                listed = self.context.rationales.listed(run.id, "", step=compress)
                self.context.rationales.approve(run.id, [(row["sample"], row["version"]) for row in listed], compress)
            approved = len(self.context.rationales.approved(run.id, compress))
            if not approved:
                raise StateError(
                    "no rationale is approved yet, so the next stage would have nothing to learn from; approve some"
                )
            result = {"approved": approved}
            self.context.runs.set_step(run.id, waiting.name, status=JobStatus.FINISHED.value, result=result)
            self.context.runs.set_status(run.id, RunStatus.RUNNING)
            self.advance(run)
            return self.context.runs.get(run.id)

    def job_over(self, job: Job) -> None:
        """A job ended: the run goes on with what follows, or stops with what happened."""
        if job.run_id is None or job.kind in (AGAIN, SecondDrawsJob.kind):
            return
        with self.lock:
            self._follow(job, self.context.runs.get(job.run_id))

    def _follow(self, job: Job, run: Run) -> None:
        if run.status is not RunStatus.RUNNING:  # it was cancelled, or somebody had it scored meanwhile
            return
        if job.kind == SCORE and not self._is_trained(run):
            return
        if job.status is JobStatus.FINISHED and job.kind == SCORE:
            self._end(run, RunStatus.FINISHED)
            return
        if job.status is JobStatus.FINISHED:
            self.advance(run)
            return
        for state in self.context.runs.steps(run.id):
            if state.status is JobStatus.RUNNING:
                self.context.runs.set_step(run.id, state.name, status=job.status.value)
        message = f"{job.kind} job {job.status}: {job.message}"
        if job.status is JobStatus.CANCELLED:
            self.context.runs.set_status(run.id, RunStatus.STOPPED, message)
        else:
            self._end(run, RunStatus.STOPPED, message)

    def _is_trained(self, run: Run) -> bool:
        """Whether nothing but the scoring is left of a run."""
        done = {state.name for state in self.context.runs.steps(run.id) if state.status is JobStatus.FINISHED}
        return not find_next(run.plan, done).steps

    def stop_cut_off(self) -> None:
        """After a start: runs that a killed app left between two jobs are stopped, so that they can be resumed."""
        busy = {job.run_id for job in self.context.jobs.unfinished_jobs()}
        for run in self.context.runs.all():
            if run.status is RunStatus.RUNNING and run.id not in busy:
                self._end(run, RunStatus.STOPPED, "cut off between two steps")

    def cancel(self, run_id: str) -> Run:
        """Stop a run: its job checkpoints and ends; one that waits, or stands between two jobs, is stopped at once."""
        with self.lock:
            run = self.context.runs.get(run_id)
            jobs = [job for job in self.context.jobs.unfinished_jobs() if job.run_id == run.id and job.kind != AGAIN]
            if run.status is RunStatus.WAITING:
                self.context.runs.set_status(run.id, RunStatus.STOPPED, "cancelled while it waited for a review")
            elif run.status is RunStatus.RUNNING and not jobs:
                self.context.runs.set_status(run.id, RunStatus.STOPPED, "cancelled between two steps")
        for job in jobs:
            self.context.watch.cancel(job.id)
        return self.context.runs.get(run.id)

    def end_all(self) -> None:
        """Ask all runs and jobs to checkpoint and stop, and wait until none is left."""
        while True:
            for run in self.context.runs.all():
                if run.status is RunStatus.RUNNING:
                    self.cancel(run.id)
            left = self.context.jobs.unfinished_jobs()
            if not left:
                return
            for job in left:
                self.context.watch.cancel(job.id)
            time.sleep(POLL_S)

    def resume(self, run_id: str) -> Run:
        """Go on with a stopped run where its job was cut off, or do a finished one's stale steps again.

        Raises:
            StateError: if the run is neither stopped nor stale.
        """
        with self.lock:
            run = self.context.runs.get(run_id)
            if run.status is RunStatus.FINISHED and self._reset_stale(run):
                self.context.runs.set_status(run.id, RunStatus.RUNNING)
                self.advance(run)
                return self.context.runs.get(run.id)
            if run.status is not RunStatus.STOPPED:
                raise StateError(why_not_resumed(run))
            self.context.runs.set_status(run.id, RunStatus.RUNNING)
            jobs = self.context.jobs.jobs_of(run.project_id)
            cut = [job for job in jobs if job.run_id == run.id and job.kind not in (AGAIN, SCORE, SecondDrawsJob.kind)]
            if cut and cut[0].status in _RESUMABLE and not self._is_trained(run):
                self.context.jobs.update_job(cut[0].id, status=JobStatus.QUEUED, message="")
            else:
                self.advance(run)
            return self.context.runs.get(run.id)

    def rerun(self, run_id: str, step_name: str) -> Run:
        """Do a step and all behind it again, the student's rationales and their compressions too; what is before stays.

        Rationales that are done again stay as earlier versions, edits and approvals with them.

        Raises:
            StateError: if the run is going on, or has no such step.
        """
        with self.lock:
            run, names = self.context.runs.get(run_id), self.check_rerun(run_id, step_name)
            self._reset(run, names)
            self.context.runs.set_status(run.id, RunStatus.RUNNING)
            self.advance(run)
            return self.context.runs.get(run.id)

    def check_rerun(self, run_id: str, step_name: str) -> list[str]:
        """The steps that `rerun` would do again.

        Raises:
            StateError: as `rerun`.
        """
        run = self.context.runs.get(run_id)
        names = [step.name for step in run.plan.steps]
        if run.status in (RunStatus.RUNNING, RunStatus.WAITING):
            raise StateError(f"run {run.id} is {run.status}; cancel it first, or let it come to its end")
        if step_name not in names:
            raise StateError(f"run {run.id} has no step {step_name!r}; it has {', '.join(names)}")
        return names[names.index(step_name) :]

    def score(self, run_id: str) -> None:
        """Score a run's answers anew; returns when the report is stored.

        Raises:
            WorkerFailed: if they could not be scored.
        """
        job = submit_score(self.context, self.context.runs.get(run_id))
        if job is not None:
            self.context.wait(job.id)

    def wait_over(self, run_id: str) -> Run:
        """Wait until a run is not going on and none of its jobs is left; the run as it is then.

        Raises:
            WorkerFailed: if jobs can't be watched over.
        """
        while True:
            run = self.context.runs.get(run_id)
            left = any(job.run_id == run_id for job in self.context.jobs.unfinished_jobs())
            if run.status is not RunStatus.RUNNING and not left:
                return run
            self.context.check_watch()
            time.sleep(POLL_S)

    def _reset_stale(self, run: Run) -> bool:
        """Queue the first stale step and all behind it again, without their results; False if none is stale."""
        stale = set(self.stale_steps(run.id))
        names = [step.name for step in run.plan.steps]
        first = next((place for place, name in enumerate(names) if name in stale), None)
        if first is None:
            return False
        self._reset(run, names[first:])
        return True

    def _reset(self, run: Run, names: Sequence[str]) -> None:
        for name in names:
            shutil.rmtree(Path(run.folder) / name, ignore_errors=True)
        self.context.runs.reset_steps(run.id, names)

    def stale_steps(self, run_id: str) -> list[str]:
        """Finished train steps whose inputs have changed since, as after an edit of a rationale.

        None of a plan that names what is not installed here: nobody can tell what it reads.
        """
        run = self.context.runs.get(run_id)
        if run.plan.missing:
            return []
        return list(self.context.db.once(f"stale steps of {run.id}", lambda: self._find_stale(run)))

    def _find_stale(self, run: Run) -> list[str]:
        builder = StageBuilder(self.context, run)
        states = {state.name: state for state in self.context.runs.steps(run.id)}
        return [
            step.name
            for step in run.plan.trained
            if states[step.name].status is JobStatus.FINISHED
            and builder.pipeline.is_stale(step, states[step.name].fingerprint)
        ]

    def wait(
        self,
        run_id: str,
        on_event: Callable[[Event], None] = lambda event: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Run:
        """Wait until a run is finished, waiting or stopped, telling the events of its jobs; asked to `stop`, cancel it.

        Raises:
            WorkerFailed: if it stopped.
        """
        seen: dict[str, int] = {}
        while True:
            if stop():
                self.cancel(run_id)
                return self.wait_over(run_id)
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
            self.context.check_watch()
            time.sleep(POLL_S)
