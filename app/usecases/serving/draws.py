"""Second draws of a run's answers, which agreement of two draws goes by: what they take, and having them made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.usecases.serving.savings import SaveService
from app.usecases.training.materials import StageBuilder
from app.usecases.workspace.context import Context
from engine.errors import InputError, StateError
from engine.jobs.spec import DrawStep, SecondDrawsJob
from engine.lines import write_lines
from engine.plans import Evaluate
from engine.second_draws import HOTTEST, as_line
from engine.values import Job, RunStatus
from engine.wording import counted
from storage.runs import Run

SECOND_DRAWS = SecondDrawsJob.kind


@dataclass(frozen=True)
class DrawQuote:
    """What second draws of some students will take: as much as their greedy answers took, about.

    `answers` are those that are not drawn yet; `tokens` and `seconds` of the device are for them.
    """

    students: tuple[str, ...]
    temperature: float
    answers: int
    tokens: int
    seconds: float


@dataclass(frozen=True)
class DrawService:
    """Use cases of second draws."""

    context: Context
    saving: SaveService

    def quote(self, run: Run, students: Sequence[str], temperature: float) -> DrawQuote:
        """What an order will take.

        Args:
            students: whose answers; none: of those that a ladder asks by itself.
            temperature: in (0, 2].

        Raises:
            InputError: if a student or the temperature can't be.
            StateError: if nothing was scored yet.
        """
        if not 0 < temperature <= HOTTEST:
            raise InputError(f"a second draw needs a temperature above 0, up to {HOTTEST:g}: at 0 it is the first one")
        candidates = self.saving.candidates(run)
        names = tuple(students) or candidates.usual
        if unknown := [name for name in names if name not in candidates.students]:
            raise InputError(
                f"no trained student of this run is named {unknown[0]!r}; there are {', '.join(candidates.students)}"
            )
        answers, tokens, seconds = 0, 0.0, 0.0
        for drawn in self.context.second_draws.of(run.id):
            if drawn.system in names:
                left = drawn.answers - len(self.context.second_draws.drawn_at(run.id, drawn.step, temperature))
                answers += left
                tokens += drawn.tokens * left / drawn.answers
                seconds += drawn.seconds * left / drawn.answers
        return DrawQuote(names, temperature, answers, round(tokens), seconds)

    def order(self, run: Run, students: Sequence[str], temperature: float) -> Job:
        """Queue the draws that are not there yet; those at other temperatures are replaced.

        Raises:
            InputError: as `quote`.
            StateError: if the run goes on, an adapter is not here, all is drawn already or being drawn.
        """
        quote = self.quote(run, students, temperature)
        if run.status is not RunStatus.FINISHED:
            raise StateError(f"{run.title} is {run.status}: its answers can be drawn again once it is finished")
        if any(job.run_id == run.id and job.kind == SECOND_DRAWS for job in self.context.jobs.unfinished_jobs()):
            raise StateError("second draws of this run are being made; wait for them")
        if not quote.answers:
            raise StateError(f"all answers of {', '.join(quote.students)} were drawn at {temperature:g} already")
        steps = [step for step in run.plan.evaluated if step.system in quote.students]
        lacking = [step.system for step in steps if not self._adapter(run, step).is_dir()]
        if lacking:
            raise StateError(f"the adapter of {', '.join(lacking)} is not here, so it can't be asked; choose others")

        def fill(job: Job) -> SecondDrawsJob:
            builder = StageBuilder(self.context, run)
            built = tuple(self._build(builder, run, step, temperature, job) for step in steps)
            task = self.context.projects.get(run.project_id).config.task
            threads = run.threads
            return SecondDrawsJob(
                task=task, student=run.plan.student, temperature=temperature, steps=built, threads=threads
            )

        spec = {"students": list(quote.students), "temperature": temperature}
        return self.context.submit(run.project_id, SECOND_DRAWS, spec, run.id, fill, run.plan.backend)

    def _adapter(self, run: Run, step: Evaluate) -> Path:
        return StageBuilder(self.context, run).folder(step.start or "") / "adapter"

    def _build(self, builder: StageBuilder, run: Run, step: Evaluate, temperature: float, job: Job) -> DrawStep:
        """One student's answers that are not drawn yet, as files for the worker."""
        given = {item.query_id: item.text for item in self.context.runs.answers(run.id, step.name)}
        left = given.keys() - self.context.second_draws.drawn_at(run.id, step.name, temperature)
        material = builder.pipeline.material
        queries = {query.id: query for query in material.heldout}
        asks = [ask for ask in builder.pipeline.asks(step) if ask.query_id in left]
        lines = [as_line(queries[ask.query_id], ask.prompt, given[ask.query_id]) for ask in asks]
        return DrawStep(
            name=step.name,
            system=step.system,
            file=write_lines(job.path / f"{step.name}.jsonl", lines),
            start=self._adapter(run, step),
            max_new_tokens=run.plan.student.generate_tokens,
            until=material.task.stop if step.stops_behind_answer else "",
        )


def say_quote(quote: DrawQuote) -> str:
    """What an order will take, in a sentence."""
    who = ", ".join(quote.students)
    if not quote.answers:
        return f"All answers of {who} were drawn a second time at temperature {quote.temperature:g}."
    minutes = max(1, round(quote.seconds / 60))
    answers = counted(quote.answers, "answer")
    return (
        f"A second draw of {answers} of {who} at temperature {quote.temperature:g}: about {quote.tokens:,} tokens and "
        f"{counted(minutes, 'minute')} of the device, as the first ones took."
    )
