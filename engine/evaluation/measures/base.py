"""What a measure is: a number over a system's scored answers, with an interval where it has one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from engine.registry import Registry
from engine.values import EvalItem
from engine.values.report import Value

_PART = ":"
"""Between the name of a measure and the part that a value is of, as a report has it."""


@dataclass(frozen=True)
class Measure:
    """A measure: its title, a line of help, what it comes to over at least one answer, and how that is written.

    `of` gives None where nothing is known, and a value a part where it has several, as one for each teacher.
    """

    title: str
    help: str
    of: Callable[[Sequence[EvalItem]], Value | Mapping[str, Value] | None]
    show: Callable[[Value], str]


MEASURES: Registry[Measure] = Registry("measures", "measure")


def mean(values: Sequence[float]) -> float:
    """The mean of at least one value."""
    return sum(values) / len(values)


def measure_all(items: Sequence[EvalItem]) -> dict[str, Value]:
    """What every measure comes to over at least one answer, where that is known; those with parts as `name:part`."""
    values: dict[str, Value] = {}
    for name in MEASURES:
        value = MEASURES.get(name).of(items)
        if isinstance(value, Value):
            values[name] = value
        elif value is not None:
            values |= {f"{name}{_PART}{part}": each for part, each in value.items()}
    return values


def find_columns(values: Iterable[str]) -> dict[str, tuple[str, Measure]]:
    """For values of a report by name: the title of each and its measure, in the order of the measures.

    Values of measures that are not installed here are left out.
    """
    names = sorted(dict.fromkeys(values))
    by_measure = {name: [value for value in names if value.partition(_PART)[0] == name] for name in MEASURES}
    return {
        value: (f"{MEASURES.get(name).title} {value.partition(_PART)[2]}".rstrip(), MEASURES.get(name))
        for name, own in by_measure.items()
        for value in own
    }
