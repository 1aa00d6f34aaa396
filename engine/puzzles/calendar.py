"""Calendar: which weekday it is some days from a named one."""

from __future__ import annotations

import random
import re

from engine.puzzles.base import NAMES, Kind, Puzzle, Solution, Step

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_EVENTS = ("a swim", "a test", "a trip", "a match", "a talk", "a party", "a lesson", "a haircut")
_TEXT = re.compile(r"Today is (\w+)\. (\w+) has (a \w+) in (\d) days\. On which day is it\?")


def generate(rng: random.Random) -> Puzzle:
    """Two to six days ahead of any weekday."""
    today, ahead = rng.randrange(7), rng.randint(2, 6)
    text = (
        f"Today is {_DAYS[today]}. {rng.choice(NAMES)} has {rng.choice(_EVENTS)} in {ahead} days. On which day is it?"
    )
    return Puzzle("calendar", text, _DAYS[(today + ahead) % 7])


def _read(text: str) -> tuple[int, str, str, int]:
    match = _TEXT.search(text)
    if match is None or match[1] not in _DAYS:
        raise ValueError("not a calendar puzzle")
    return _DAYS.index(match[1]), match[2], match[3], int(match[4])


def _solution(steps: list[Step], answer: int) -> Solution:
    return Solution(tuple(steps), _DAYS[answer], (_DAYS[(answer + 1) % 7], _DAYS[answer - 1], _DAYS[(answer + 2) % 7]))


def forward(text: str) -> Solution:
    """Walk the days one at a time."""
    today, name, event, ahead = _read(text)
    walk = [f"in {n} {'day' if n == 1 else 'days'} {_DAYS[(today + n) % 7]}" for n in range(1, ahead + 1)]
    end = (today + ahead) % 7
    return _solution(
        [
            Step(f"Starting from {_DAYS[today]}: {', '.join(walk)}.", " ".join(w.split()[-1][:3] for w in walk)),
            Step(f"So {name} has {event} on {_DAYS[end]}.", f"on {_DAYS[end]}"),
        ],
        end,
    )


def eliminate(text: str) -> Solution:
    """Take a whole week and come back by the days that are too many."""
    today, _, _, ahead = _read(text)
    back, end = 7 - ahead, (today + ahead) % 7
    walk = [_DAYS[(today - n) % 7] for n in range(1, back + 1)]
    return _solution(
        [
            Step(f"Seven days from {_DAYS[today]} it is {_DAYS[today]} again.", f"week {_DAYS[today]}"),
            Step(f"{ahead} days is {back} less than a week.", f"back {back}"),
            Step(f"Going back {back} from {_DAYS[today]}: {', '.join(walk)}.", " ".join(w[:3] for w in walk)),
            Step(f"That leaves {_DAYS[end]}.", f"leaves {_DAYS[end]}"),
        ],
        end,
    )


def tabulate(text: str) -> Solution:
    """Number the weekdays and add."""
    today, _, _, ahead = _read(text)
    total, end = today + 1 + ahead, (today + ahead) % 7
    steps = [
        Step(f"{_DAYS[today]} is day number {today + 1}.", f"{_DAYS[today]} {today + 1}"),
        Step(f"{today + 1} + {ahead} = {total}.", f"{today + 1} + {ahead} = {total}"),
    ]
    if total > 7:
        steps.append(Step(f"A week has 7 days, so {total} - 7 = {total - 7}.", f"{total} - 7 = {total - 7}"))
    steps.append(Step(f"Day number {end + 1} is {_DAYS[end]}.", f"{end + 1} {_DAYS[end]}"))
    return _solution(steps, end)


KIND = Kind(
    "calendar",
    generate,
    lambda text: bool(_TEXT.search(text)),
    {"forward": forward, "eliminate": eliminate, "tabulate": tabulate},
)
