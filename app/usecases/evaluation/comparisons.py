"""Comparing students, teachers and baselines: scores beside tokens and money, where two differ, when it pays back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from app.palette import students_of, system_colour
from app.usecases.evaluation.bills import NO_PRICES, Prices, TeacherBill, bills, list_prices, sum_asking
from app.usecases.evaluation.verdicts import Group, groups_of, judge, judge_kinds
from app.usecases.training.materials import TEACHERS
from app.usecases.workspace.context import Context
from app.usecases.workspace.paging import Rows, turn_to
from app.usecases.workspace.sheets import Sheet
from engine.costs import ASSUMED, Price
from engine.errors import InputError
from engine.evaluation.money import PayBack, cost_on_device, reckon_pay_back
from engine.evaluation.report import Verdict
from engine.pipeline import find_systems
from engine.plans.titles import title_of
from engine.ports import Task
from engine.tasks import get_task
from engine.tasks.reply import read_growing
from engine.values import Query
from engine.values.report import WHOLE, Difference, ReportRow
from engine.wording import counted
from storage.differences import DIFFERING_SORTS, RIGHT, Asked, Sides
from storage.runs import Run

PAGE = 10
"""Queries on a page of the list of differences."""
ASSUMED_HOUR = 0.10
"""US dollars an hour of the device where the user says nothing else: about what two rented processors cost; assumed."""


@dataclass(frozen=True)
class Terms:
    """What is assumed of money: US dollars an hour of the device (None: unknown), and list prices of teachers."""

    device_hour: float | None = ASSUMED_HOUR
    prices: Prices = field(default_factory=dict)


@dataclass(frozen=True)
class System:
    """One row of the comparison. Money in US dollars, None where it is unknown.

    Tokens of `report` are the student tokenizer's, for comparing lengths; `billed_tokens` are what the provider bills,
    for money. `gained` is the paired difference against the untrained student that the plan names as reference.
    `assumed`: the money is by an assumed price: a list price for a teacher that bills nothing, or that of the device
    where the user left it as it was. `colour`: as on every page.
    """

    report: ReportRow
    group: Group
    cost_per_1000: float | None
    billed_tokens: float | None
    gained: Difference | None
    ship: bool
    assumed: bool = False
    colour: str = ""


@dataclass(frozen=True)
class CompareService:
    """Use cases of comparing."""

    context: Context

    def systems(self, run: Run, device_hour: float | None = None, prices: Prices = NO_PRICES) -> list[System]:
        """All systems of a run's report. `device_hour`: what an hour of the device costs the user, in US dollars.

        `prices`: list prices to assume for teachers that bill nothing, where they are not the product's own.
        """
        rows = self.context.reports.rows(run.id)
        groups = groups_of(run)
        verdict = self.verdict(run)
        ship = verdict.ship if verdict else None
        untrained = next((s.system for s in run.plan.evaluated if s.reference and s.role == "untrained"), "")
        gained = {d.name: d for d in self.context.reports.differences(run.id) if d.baseline == untrained}
        billed = bills(self.context, run, prices)
        teachers, students = [t.name for t in self.context.projects.teachers(run.project_id)], students_of(run.plan)
        systems = []
        for row in rows:
            if row.kind != WHOLE:
                continue
            group = groups.get(row.name, "teacher")
            bill = billed.get(row.name, TeacherBill(None, None)) if group == "teacher" else TeacherBill(None, None)
            cost = bill.per_1000 if group == "teacher" else cost_on_device(row, device_hour)
            ships = row.name == ship
            assumed = bill.assumed if group == "teacher" else device_hour == ASSUMED_HOUR and cost is not None
            colour = system_colour(row.name, teachers, students)
            gain = gained.get(row.name)
            systems.append(System(row, group, cost, bill.tokens, gain, ships, assumed, colour))
        return systems

    def verdict(self, run: Run) -> Verdict | None:
        """What of a run to ship, and why; None where nothing trained was scored."""
        return judge(self.context, run)

    def verdicts(self, run: Run) -> dict[str, Verdict]:
        """The same for each kind of query, where kinds are told apart."""
        return judge_kinds(self.context, run)

    def set_margin(self, project_name: str, margin: float) -> None:
        """Set how far below the best a shorter student may lie to be shipped in its place; for all runs of a project.

        Raises:
            ConfigError: if it is no share from 0 to 1.
        """
        self.context.projects.configure(self.context.projects.get(project_name).id, margin=margin)

    def list_prices(self, run: Run, given: Prices = NO_PRICES) -> dict[str, Price | None]:
        """The assumed list price of each teacher of a run that bills nothing; None: nothing is assumed for it."""
        return list_prices(self.context, run.project_id, given)

    def pay_back(self, run: Run, student: str, teacher: str, terms: Terms) -> PayBack:
        """When a stage has paid back the asking and the training, against asking a teacher each time.

        Raises:
            InputError: if the report has no such system.
        """
        systems = {system.report.name: system for system in self.systems(run, terms.device_hour, terms.prices)}
        lacking = [name for name in (student, teacher) if name not in systems]
        if lacking:
            raise InputError(f"the report has no {', '.join(lacking)}; it has {', '.join(systems) or 'nothing yet'}")
        payback = self.reckon(run, systems[teacher].cost_per_1000, systems[student].cost_per_1000, terms)
        return replace(payback, teacher_assumed=systems[teacher].assumed)

    def reckon(self, run: Run, before: float | None, after: float | None, terms: Terms) -> PayBack:
        """When a run has paid back its asking and training, if a thousand answers cost `before`, and `after` now."""
        spent, hours = sum_asking(self.context, run, terms.prices), self._device_hours(run)
        payback = reckon_pay_back(spent, hours, terms.device_hour, before, after)
        return replace(payback, device_assumed=terms.device_hour == ASSUMED_HOUR)

    def bill(self, run: Run, device_hour: float) -> dict[str, Any]:
        """What a thousand answers of each system cost, and when the one to ship pays back against the best teacher.

        Keys: device_hour; rows, each with system, per_1000 (US dollars; None: unknown) and assumed; pays_back ("" where
        there is nothing to ship, or no teacher to compare with).
        """
        systems = self.systems(run, device_hour)
        rows = [{"system": s.report.name, "per_1000": s.cost_per_1000, "assumed": s.assumed} for s in systems]
        ship = next((s.report.name for s in systems if s.ship), None)
        teachers = [s.report for s in systems if s.group == "teacher"]
        pays_back = ""
        if ship and teachers:
            teacher = max(teachers, key=lambda row: row.accuracy).name
            pays_back = say_pay_back(self.pay_back(run, ship, teacher, Terms(device_hour)), title_of(ship), teacher)
        return {"device_hour": device_hour, "rows": rows, "pays_back": pays_back}

    def _device_hours(self, run: Run) -> float:
        """How long the run's workers had the device; a gap in a journal, maybe a pause, counts for an hour at most."""
        return self.context.runs.device_seconds(run.id) / 3600

    def differing(self, run: Run, pair: tuple[str, str], asked: Asked) -> Rows:
        """The held-out queries on which two systems give other labels or verdicts, as `turn_to`.

        Rows hold id, query, kind, gold, and label and correct of first and second. What is no filter or order counts as
        none.

        Raises:
            InputError: if one of the two is not named.
        """
        sides, find = _sides(run, pair), _known_only(asked)
        read = self.context.differences.answers_beside_golds
        page = turn_to(find.page, PAGE, lambda begin: read(run, sides, find, begin, PAGE))
        task = get_task(self.context.projects.get(run.project_id).config.task)
        for row in page.rows:
            row["gold"] = None if row["gold"] is None else task.show_gold(row["gold"])
        return page

    def differing_sheet(self, run: Run, pair: tuple[str, str], asked: Asked) -> Sheet:
        """All that `differing` finds, with what both wrote. Raises as it does."""
        task = get_task(self.context.projects.get(run.project_id).config.task)
        answers = self.context.differences.stream_answers(run, _sides(run, pair), _known_only(asked))
        rows = (
            (query, kind, None if gold is None else task.show_gold(gold), *said) for query, kind, gold, *said in answers
        )
        columns = [f"{name}: {what}" for name in pair for what in ("label", "right", "reply")]
        return Sheet(("query", "kind", "gold label", *columns), rows)

    def difference(self, run: Run, pair: tuple[str, str], query_id: str) -> dict[str, Any]:
        """What two systems said of one held-out query.

        Keys: query, kind, gold (None: none), and first, second with text, label and correct each.

        Raises:
            NotFound: if not both answered it.
            InputError: if one of the two is not named.
        """
        row = self.context.differences.answer_beside_golds(run, _sides(run, pair), query_id)
        query = self.context.queries.find_one(run.project_id, query_id)
        task = get_task(self.context.projects.get(run.project_id).config.task)
        row["gold"] = None if row["gold"] is None else task.show_gold(row["gold"])
        steps = find_systems(run.plan)
        for side, name in zip(("first", "second"), pair, strict=True):
            if name not in steps:
                row[f"{side}_text"] = say_reply(task, query, row[f"{side}_text"])
        return row


def _known_only(asked: Asked) -> Asked:
    """What is no filter or order counts as none."""
    right = asked.right if asked.right in RIGHT else ""
    return replace(asked, right=right, sort=asked.sort if asked.sort in DIFFERING_SORTS else "")


def _sides(run: Run, pair: tuple[str, str]) -> Sides:
    if not all(pair):
        raise InputError("Choose two systems to compare.")
    steps = find_systems(run.plan)
    first, second = ((steps.get(name, TEACHERS), name) for name in pair)
    return Sides(first, second)


def say_reply(task: Task, query: Query, raw: str) -> str:
    """A teacher's reply as a person reads it: the rationale and the answer; as it came where it can't be read."""
    parsed = task.parse(query, raw)
    return raw if parsed is None else task.complete(parsed.rationale, parsed.label)


_read_growing = lru_cache(maxsize=32)(read_growing)


def say_growing(task: Task, raw: str) -> str:
    """As `say_reply`, of a reply that is still being written."""
    rationale, label = _read_growing(raw)
    return task.complete(rationale, label) if label else rationale


def say_pay_back(payback: PayBack, student: str, teacher: str) -> str:
    """When it pays back, and what that is reckoned from; or what is missing to say so."""
    asking = f"${payback.asking:.4f}"
    if payback.assumed:
        asking += f" and, at assumed list prices, would have cost ${payback.assumed:.4f} more"
    if payback.unknown_requests:
        asking += f" and {counted(payback.unknown_requests, 'request')} of unknown price"
    by = f", {ASSUMED}" if payback.device_assumed else ""
    device = "at an unknown price" if payback.device is None else f"(${payback.device:.4f}{by})"
    basis = (
        f"Asking teachers cost {asking}, training and writing took {payback.device_hours:.2f} device hours {device}."
    )
    theirs = f"{_money(payback.teacher_cost)}{f' ({ASSUMED})' if payback.teacher_assumed else ''}"
    each = f"A thousand answers: {teacher} {theirs}, {student} {_money(payback.student_cost)}{by}."
    if payback.queries is not None:
        outcome = f"Pays back after {counted(round(payback.queries), 'query')}."
    elif None in (payback.device, payback.teacher_cost, payback.student_cost) or payback.unknown_requests:
        outcome = "When it pays back is not known: a price is missing (the device's hour, or the teacher's answers)."
    else:
        outcome = f"It does not pay back: an answer of {teacher} costs no more than one of {student}."
    return f"{outcome} {basis} {each}"


def _money(value: float | None) -> str:
    return "unknown" if value is None else f"${value:.4f}"
