"""A study: arms (plans with their settings) x seeds on one project, and the record that each of its runs leaves.

A record is a small file with answers, scores, settings and versions; the table (`engine.study_table`) is made of
records alone, so that a study goes on elsewhere and a stranger can check it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import Field, model_validator

from engine.budgets import BUDGETS
from engine.config import Config, read_config
from engine.errors import ConfigError, InputError
from engine.plans.order import PlanOrder
from engine.values import hash_id

FINISHED = "finished"
MOST_RUNS = 10_000


class Arm(Config):
    """One way to make a student. `order` holds settings of `PlanOrder` in place of the study's.

    `system` is which of the plan's students counts; empty: the last one that it scores.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_\-]{0,59}$")
    plan: str
    system: str = ""
    order: dict[str, Any] = Field(default_factory=dict)


class StudyBudget(Config):
    """What every arm takes as much of: a kind of `engine.budgets`, and how much."""

    kind: str
    amount: int | float = Field(gt=0, le=1e12)


class PuzzleSet(Config):
    """Generated puzzles that a study makes its project of where there is none of that name."""

    queries: int = Field(ge=6, le=100_000)
    heldout: int = Field(ge=6, le=100_000)


class Grid(Config):
    """What a study compares, written down before any of it is run.

    Attributes:
        name: names the folder of its records.
        project: whose queries and samples all arms work on.
        seeds: of the student's adapter and its order of rows; each arm is trained once a seed.
        order: settings of `PlanOrder` that all arms share.
        arms: what is compared.
        contrast: the two arms whose difference was chosen beforehand; all others are corrected for their number.
        budget: what all arms take equally much of; None: each the epochs of its plan.
        puzzles: what the project is made of, if it is not there yet.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_\-]{0,59}$")
    project: str
    seeds: tuple[int, ...] = Field(min_length=1)
    order: dict[str, Any] = Field(default_factory=dict)
    arms: tuple[Arm, ...] = Field(min_length=2)
    contrast: tuple[str, str]
    budget: StudyBudget | None = None
    puzzles: PuzzleSet | None = None

    @model_validator(mode="after")
    def _fits(self) -> Grid:
        if len(self.arms) * len(self.seeds) > MOST_RUNS:
            raise ValueError(f"arms times seeds are over {MOST_RUNS:,} runs")
        names = [arm.name for arm in self.arms]
        if len(set(names)) < len(names):
            raise ValueError("two arms have the same name")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("a seed is given twice")
        lacking = [name for name in self.contrast if name not in names]
        if lacking or self.contrast[0] == self.contrast[1]:
            raise ValueError(f"the contrast names two of the arms, which are {', '.join(names)}")
        return self


class StudyCell(NamedTuple):
    """One run of a study."""

    arm: Arm
    seed: int
    order: PlanOrder
    budget: StudyBudget | None = None

    @property
    def name(self) -> str:
        """Names its record."""
        return f"{self.arm.name}-{self.seed}"

    @property
    def settings(self) -> str:
        """Hash of what is ordered and which student counts; where it trains, and what is left as it is, do not."""
        order = self.order.model_dump(mode="json", exclude={"backend"}, exclude_defaults=True)
        return hash_id("cell", order, self.arm.system, *([self.budget.model_dump()] if self.budget else []))


def list_cells(grid: Grid) -> list[StudyCell]:
    """All runs of a study, seed after seed, so that a part of it compares all arms.

    Raises:
        ConfigError: if an arm's settings can't be.
    """
    return [
        StudyCell(
            arm, seed, read_config(PlanOrder, {**grid.order, **arm.order, "plan": arm.plan, "seed": seed}), grid.budget
        )
        for seed in grid.seeds
        for arm in grid.arms
    ]


@dataclass(frozen=True)
class StudyRecord:
    """What one run came to.

    Attributes:
        study, arm, seed: where it belongs.
        settings: as `StudyCell.settings`: what was ordered.
        system: whose answers these are.
        status: finished, or what became of the run.
        message: why it is not finished.
        answers: (query id, kind, whether it is right, output tokens, text) each.
        facts: what a reader may ask for: settings, fingerprints, versions, updates and training tokens; by stage the
            losses (`curves`), and what every student that the plan scored came to (`systems`).
    """

    study: str
    arm: str
    seed: int
    settings: str
    system: str
    status: str
    message: str
    answers: tuple[tuple[str, str, bool, int, str], ...]
    facts: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The record as a file holds it."""
        return {**vars(self), "answers": [list(answer) for answer in self.answers], "facts": dict(self.facts)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StudyRecord:
        """The inverse of `to_dict`.

        Raises:
            InputError: if that is no record.
        """
        try:
            answers = tuple((str(q), str(k), bool(c), int(t), str(x)) for q, k, c, t, x in data["answers"])
            names = ("study", "arm", "settings", "system", "status", "message")
            texts = [str(data[name]) for name in names]
            study, arm, settings, system, status, message = texts
            _check_facts(data["facts"])
            return cls(study, arm, int(data["seed"]), settings, system, status, message, answers, dict(data["facts"]))
        except (LookupError, TypeError, ValueError) as error:
            raise InputError("this is no record of a study") from error


def _check_facts(facts: Mapping[str, Any]) -> None:
    """Refuse facts that a table or a plot could not read.

    Raises:
        LookupError, TypeError, ValueError: what is wrong with them.
    """
    for scored in dict(facts.get("systems") or {}).values():
        if not (0 <= int(scored["right"]) <= int(scored["n"]) and int(scored["n"]) > 0 <= float(scored["tokens"])):
            raise ValueError("that is no score")
    for curve in dict(facts.get("curves") or {}).values():
        for update, loss in curve:
            int(update), float(loss)


def read_grid(data: Mapping[str, Any]) -> Grid:
    """A grid from its file: a table `study`, and one `arms` each.

    Raises:
        ConfigError: one line a wrong setting.
    """
    unknown = sorted(set(data) - {"study", "arms"})
    if unknown or "study" not in data:
        wrong = f"{', '.join(unknown)} is not one" if unknown else "[study] is missing"
        raise ConfigError(f"a grid has a table [study] and tables [[arms]]; {wrong}")
    grid = read_config(Grid, {**data["study"], "arms": data.get("arms", [])})
    list_cells(grid)
    if grid.budget is not None:
        BUDGETS.get(grid.budget.kind).check_amount(grid.budget.amount)
    return grid
