"""What a measure is: a number over a system's scored answers, with an interval where it has one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.registry import Registry
from engine.values import EvalItem
from engine.values.report import Value


@dataclass(frozen=True)
class Measure:
    """A measure: its title, a line of help, what it comes to over at least one answer, and how that is written.

    `of` gives None where nothing is known.
    """

    title: str
    help: str
    of: Callable[[Sequence[EvalItem]], Value | None]
    show: Callable[[Value], str]


MEASURES: Registry[Measure] = Registry("measures", "measure")


def mean(values: Sequence[float]) -> float:
    """The mean of at least one value."""
    return sum(values) / len(values)
