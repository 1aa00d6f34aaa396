"""What a run's ladder saves: students first, a teacher last, at a loss that somebody allows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

from pydantic import Field

from app.palette import students_of, system_colour
from app.usecases.evaluation.bills import bills
from app.usecases.evaluation.comparisons import CompareService, System, Terms
from app.usecases.evaluation.scores import ACCURACY, read_teacher_labels
from app.usecases.evaluation.verdicts import groups_of
from app.usecases.teachers.prompts import teacher_prompt
from app.usecases.training.materials import TEACHERS, StageBuilder
from app.usecases.workspace.context import Context
from engine.config import Config, TeacherConfig, read_config
from engine.errors import InputError, StateError
from engine.evaluation.money import PayBack
from engine.evaluation.report import find_agreement, find_consensus
from engine.pipeline import prompt_of
from engine.serving.certificate import SURE
from engine.serving.deferral import DEFERRALS, DeferralRule
from engine.serving.deferral.base import UNKNOWN
from engine.serving.outcomes import Outcomes, choose_half, climb_all, gather
from engine.serving.policy import Certificate, Expected, Policy, StudentRung, TeacherRung
from engine.serving.saving import Ladder, StepChoice, choose_step, fit_ladder, list_students
from engine.tasks import get_task
from engine.values import EvalItem, Split, TeacherSpec
from engine.values.report import WHOLE
from storage.runs import Run


class SaveOrder(Config):
    """What somebody wishes of a ladder.

    Attributes:
        students: who is asked, in this order; none: those that `list_students` finds.
        reference: who is asked last, and compared with; "": the best teacher.
        rule: the deferral rule.
        effort: what is to be saved.
        allowed: share of queries that may be lost against the reference.
        sure: with which probability the loss is to be below that.
    """

    students: tuple[str, ...] = Field((), title="Students")
    reference: str = Field("", max_length=100, title="Last, and compared with")
    rule: str = Field("confidence", max_length=100, title="Answers by itself by")
    effort: Literal["tokens", "dollars", "seconds"] = Field("tokens", title="To save")
    allowed: float = Field(0.02, ge=0, le=0.5, title="Allowed loss")
    sure: float = Field(SURE, gt=0.5, lt=1, title="With probability")


@dataclass(frozen=True)
class Candidates:
    """Who can stand in a ladder of a run: students in the order of their tokens, and who can stand last.

    `drawn`: the students all of whose answers were drawn a second time, with the temperature.
    """

    students: tuple[str, ...]
    references: tuple[str, ...]
    usual: tuple[str, ...]
    best: str
    drawn: Mapping[str, float]

    @property
    def rules(self) -> tuple[str, ...]:
        """The deferral rules that can decide; those that need second draws only where there are such."""
        return tuple(name for name in DEFERRALS if self.drawn or not DEFERRALS[name].draws_twice)


@dataclass(frozen=True)
class Saving:
    """What a ladder comes to for a wish.

    Attributes:
        order: the wish, with everybody named.
        labels: what counted as right.
        assumed: systems whose money is by an assumed price.
        unsure: students whose log-probs were not kept, so that no threshold can tell their answers apart.
        colours: of each system, as on every page.
        pay_back: when the ladder has paid back the asking and the training, against the reference alone.
    """

    order: SaveOrder
    ladder: Ladder
    choice: StepChoice
    labels: Literal["gold", "consensus"]
    assumed: tuple[str, ...]
    unsure: tuple[str, ...]
    pay_back: PayBack
    colours: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Answers:
    """What a run's ladders are made of.

    Attributes:
        items: all answers to held-out queries, with verdicts.
        labels: what the verdicts go by.
        fitting: the queries that ladders are fitted on.
        candidates: who can stand in a ladder; who usually does is chosen on `fitting`.
    """

    items: list[EvalItem]
    labels: Literal["gold", "consensus"]
    fitting: frozenset[str]
    candidates: Candidates


@dataclass(frozen=True)
class SaveService:
    """Use cases of ladders."""

    context: Context
    comparing: CompareService

    def candidates(self, run: Run) -> Candidates:
        """Who can stand in a ladder of this run.

        Raises:
            StateError: if nothing trained, or no teacher, was scored on the held-out queries.
        """
        return self._read_answers(run).candidates

    def read(self, run: Run, order: SaveOrder, terms: Terms) -> Saving:
        """What a ladder saves, by the answers that are stored; nobody is asked.

        Raises:
            StateError: if nothing trained, or no teacher, was scored on the held-out queries.
            InputError: if the order names somebody who did not answer, or there are too few queries.
            ConfigError: if there is no such rule.
        """
        answers = self._read_answers(run)
        order = _name_all(order, answers.candidates)
        names = (*order.students, order.reference)
        systems = {one.report.name: one for one in self.comparing.systems(run, terms.device_hour, terms.prices)}
        dollars = self._dollars(run, systems, names, terms)
        question = f"ladder of {run.id} {order.model_dump_json(exclude={'allowed', 'sure'})} {sorted(dollars.items())}"
        rule = DEFERRALS.get(order.rule)

        def work() -> tuple[Ladder, tuple[str, ...]]:
            outcomes = gather(answers.items, names, dollars)
            return fit_ladder(outcomes, answers.fitting, rule, order.effort), _find_unsure(outcomes)

        ladder, unsure = self.context.db.once(question, work)
        choice = choose_step(ladder, order.allowed, order.sure)
        before, after = ladder.reference.effort.dollars, choice.step.effort.dollars
        pay_back = self.comparing.reckon(run, _thousand(before), _thousand(after), terms)
        assumed = tuple(name for name in names if name in systems and systems[name].assumed)
        pay_back = replace(pay_back, teacher_assumed=order.reference in assumed)
        teachers = [spec.name for spec in self.context.projects.teachers(run.project_id)]
        students = students_of(run.plan)
        colours = {name: system_colour(name, teachers, students) for name in (*systems, *names)}
        return Saving(order, ladder, choice, answers.labels, assumed, unsure, pay_back, colours)

    def _dollars(
        self, run: Run, systems: Mapping[str, System], names: tuple[str, ...], terms: Terms
    ) -> dict[str, float | None]:
        """US dollars of an answer, by system; the report has no teachers where nothing but they say what is right."""
        per_1000 = {name: system.cost_per_1000 for name, system in systems.items()}
        if any(name not in per_1000 for name in names):
            billed = bills(self.context, run, terms.prices)
            per_1000 = {name: bill.per_1000 for name, bill in billed.items()} | per_1000
        return {name: None if (cost := per_1000.get(name)) is None else cost / 1000 for name in names}

    def _read_answers(self, run: Run) -> _Answers:
        def work() -> _Answers:
            items, labels = self._judge(run)
            fitting = choose_half({item.query_id: item.kind for item in items})
            candidates = _find_candidates(run, items, fitting)
            by_system = {one.system: one.temperature for one in self.context.second_draws.of(run.id)}
            drawn = {name: at for name in candidates.students if (at := by_system.get(name)) is not None}
            return _Answers(items, labels, fitting, replace(candidates, drawn=drawn))

        return self.context.db.once(f"answers for ladders of {run.id}", work)

    def _judge(self, run: Run) -> tuple[list[EvalItem], Literal["gold", "consensus"]]:
        """The answers with verdicts, and what these go by."""
        rows = [row for row in self.context.reports.rows(run.id) if row.kind == WHOLE]
        items = self.context.runs.judged(run.id, TEACHERS)
        if not rows or rows[0].measure == ACCURACY:
            return [item for item in items if item.correct is not None], "gold"
        given = read_teacher_labels(self.context, run.project_id)
        agreed = find_consensus(given)
        judged = [
            item
            if item.correct is not None
            else replace(item, correct=given[item.query_id].get(item.system) == agreed[item.query_id])
            for item in items
            if item.correct is not None or item.query_id in agreed
        ]
        return judged, "consensus"

    def policy(self, run: Run, saving: Saving) -> Policy:
        """The ladder as a policy, to be served.

        Raises:
            StateError: if a student has no adapter any more.
        """
        project = self.context.projects.get(run.project_id)
        specs = {spec.name: spec for spec in self.context.projects.teachers(project.id)}
        prompt, step, order = teacher_prompt(self.context, project), saving.choice.step, saving.order
        rungs: list[StudentRung | TeacherRung] = [
            self._student(run, name, rule) for name, rule in zip(order.students, step.rules, strict=True)
        ]
        spec = specs.get(order.reference)
        rungs.append(
            TeacherRung(
                system=order.reference,
                teacher=_to_config(spec) if spec is not None and spec.provider != "recorded" else None,
                prompt=prompt.text,
                version=prompt.version,
            )
        )
        ladder = saving.ladder
        certificate = Certificate(
            reference=order.reference, allowed=order.allowed, sure=order.sure, n=ladder.n, labels=saving.labels
        )
        return Policy(
            project=project.name,
            run=run.id,
            task=project.config.task,
            made=datetime.now(UTC).isoformat(timespec="seconds"),
            rungs=tuple(rungs),
            expected=_expect(saving, self._find_agreement(run, saving)),
            certificate=certificate if saving.choice.certified else None,
        )

    def _find_agreement(self, run: Run, saving: Saving) -> float | None:
        """Of the queries that students answer, the share with the last rung's label; None where they answer none."""
        ladder, step = saving.ladder, saving.choice.step
        by = climb_all(ladder.certifying, step.rules).by
        asked = {
            (ladder.systems[rung], query)
            for rung, query in zip(by, ladder.certifying.queries, strict=True)
            if rung < len(ladder.systems) - 1
        }
        if not asked:
            return None
        queries = {query.id: query for query in self.context.queries.get(run.project_id, Split.HELDOUT)}
        given = read_teacher_labels(self.context, run.project_id)
        task = get_task(self.context.projects.get(run.project_id).config.task)
        steps = {one.system: one.name for one in run.plan.evaluated}
        same = [
            find_agreement(task, queries[item.query_id], item.label, {"last": theirs})["last"]
            for name in saving.order.students
            for item in self.context.runs.answers(run.id, steps[name])
            if (name, item.query_id) in asked
            and (theirs := given.get(item.query_id, {}).get(saving.order.reference)) is not None
        ]
        return sum(same) / len(same) if same else None

    def _student(self, run: Run, name: str, rule: DeferralRule) -> StudentRung:
        step = next(one for one in run.plan.evaluated if one.system == name)
        adapter = StageBuilder(self.context, run).folder(step.start or "") / "adapter"
        if not adapter.is_dir():
            raise StateError(f"the adapter of {name} is not here, so it could not be served; choose another student")
        return StudentRung(
            system=name,
            student=run.plan.student,
            adapter=adapter.resolve().relative_to(self.context.workspace.resolve()).as_posix(),
            prompt=step.prompt or prompt_of(run.plan, step.start or ""),
            stops_behind_answer=step.stops_behind_answer,
            rule=rule,
        )


def _find_candidates(run: Run, items: Sequence[EvalItem], fitting: frozenset[str]) -> Candidates:
    """Who can stand in a ladder; the best are found on the fitting half, so that the other half saw no choice."""
    groups, known = groups_of(run), dict.fromkeys(item.system for item in items)
    own = {name: [item for item in items if item.system == name and item.query_id in fitting] for name in known}
    scores = {name: (_mean(bool(i.correct) for i in part), _mean(i.tokens for i in part)) for name, part in own.items()}
    trained = sorted((n for n in known if groups.get(n) in ("stage", "baseline")), key=lambda name: scores[name][1])
    if not trained:
        raise StateError("Nothing trained was scored on held-out queries yet. A ladder begins with a student.")
    teachers = sorted((n for n in known if n not in groups), key=lambda name: (-scores[name][0], scores[name][1]))
    if not teachers:
        raise StateError("No teacher answered the held-out queries. Label them too: the last rung is a teacher.")
    usual = list_students([(name, *scores[name]) for name in trained])
    return Candidates(tuple(trained), tuple(teachers), tuple(usual), teachers[0], {})


def _find_unsure(outcomes: Outcomes) -> tuple[str, ...]:
    """The students none of whose answers has a log-prob."""
    students = zip(outcomes.systems[:-1], outcomes.confidence, strict=False)
    return tuple(name for name, confidence in students if not (confidence > UNKNOWN).any())


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return sum(known) / len(known) if known else 0.0


def _name_all(order: SaveOrder, candidates: Candidates) -> SaveOrder:
    """The order with everybody named.

    Raises:
        InputError: if it names somebody who can't stand there.
    """
    students, reference = order.students or candidates.usual, order.reference or candidates.best
    unknown = [name for name in students if name not in candidates.students]
    if unknown:
        raise InputError(
            f"no trained student of this run is named {unknown[0]!r}; there are {', '.join(candidates.students)}"
        )
    if len(set(students)) != len(students):
        raise InputError("a student stands in a ladder once")
    if reference not in candidates.references:
        raise InputError(
            f"no teacher that answered is named {reference!r}; there are {', '.join(candidates.references)}"
        )
    return order.model_copy(update={"students": tuple(students), "reference": reference})


def _thousand(dollars: float | None) -> float | None:
    return None if dollars is None else 1000 * dollars


def _to_config(spec: TeacherSpec) -> TeacherConfig:
    values = asdict(spec)
    sampling = values.pop("sampling")
    return read_config(TeacherConfig, {**values, **sampling})


def _expect(saving: Saving, agreement: float | None) -> Expected:
    ladder, step, alone = saving.ladder, saving.choice.step, saving.ladder.reference
    return Expected(
        n=ladder.n,
        score=step.score,
        reference_score=alone.score,
        shares=dict(zip(ladder.systems, step.shares, strict=True)),
        tokens=step.effort.tokens,
        reference_tokens=alone.effort.tokens,
        dollars=step.effort.dollars,
        reference_dollars=alone.effort.dollars,
        seconds=step.effort.seconds,
        reference_seconds=alone.effort.seconds,
        agreement=agreement,
    )
