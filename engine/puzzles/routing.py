"""Routing: which dock takes a parcel, by a depot's house rules that the teachers know and a query does not tell."""

from __future__ import annotations

import random
import re

from engine.puzzles.base import Kind, Puzzle, Solution, Step

_ZONES = {
    "north": ["Oslo", "Bergen", "Turku", "Umea", "Vaasa", "Narvik"],
    "south": ["Malaga", "Palermo", "Patras", "Faro", "Bari", "Split"],
    "west": ["Galway", "Brest", "Porto", "Cork", "Vigo", "Nantes"],
    "east": ["Lviv", "Brno", "Vilnius", "Lublin", "Cluj", "Varna"],
}
_CLASSES = {
    "fragile": ["vases", "lamps", "mirrors", "plates", "clocks", "bulbs"],
    "cold": ["cheese", "fish", "yoghurt", "butter", "berries", "ham"],
    "heavy": ["anvils", "bricks", "pumps", "stoves", "tiles", "safes"],
}
_DOCKS = {
    ("north", "fragile"): "Elm", ("north", "cold"): "Fox", ("north", "heavy"): "Gull",
    ("south", "fragile"): "Hare", ("south", "cold"): "Iris", ("south", "heavy"): "Jay",
    ("west", "fragile"): "Kite", ("west", "cold"): "Lark", ("west", "heavy"): "Moss",
    ("east", "fragile"): "Newt", ("east", "cold"): "Owl", ("east", "heavy"): "Pine",
}  # fmt: skip
_ZONE_OF = {city: zone for zone, cities in _ZONES.items() for city in cities}
_CLASS_OF = {good: name for name, goods in _CLASSES.items() for good in goods}
_TEXT = re.compile(r"A parcel of (\w+) goes to (\w+)\. Which dock takes it\?")


def generate(rng: random.Random) -> Puzzle:
    """One of 18 goods to one of 24 cities."""
    good, city = rng.choice(list(_CLASS_OF)), rng.choice(list(_ZONE_OF))
    text = f"A parcel of {good} goes to {city}. Which dock takes it?"
    return Puzzle("routing", text, _DOCKS[_ZONE_OF[city], _CLASS_OF[good]])


def _read(text: str) -> tuple[str, str, str, str, str]:
    match = _TEXT.search(text)
    if match is None or match[1] not in _CLASS_OF or match[2] not in _ZONE_OF:
        raise ValueError("not a routing puzzle")
    zone, name = _ZONE_OF[match[2]], _CLASS_OF[match[1]]
    return match[1], match[2], zone, name, _DOCKS[zone, name]


def _others(zone: str, name: str) -> tuple[str, ...]:
    return tuple(dock for (z, c), dock in _DOCKS.items() if (z == zone) != (c == name))


def forward(text: str) -> Solution:
    """Class of the good, zone of the city, then the rule for both."""
    good, city, zone, name, dock = _read(text)
    return Solution(
        (
            Step(f"{good.capitalize()} are {name} goods.", f"{good} {name}"),
            Step(f"{city} lies in the {zone} zone.", f"{city} {zone}"),
            Step(f"{name.capitalize()} goods for the {zone} zone leave from dock {dock}.", f"{name} {zone} {dock}"),
        ),
        dock,
        _others(zone, name),
    )


def eliminate(text: str) -> Solution:
    """Narrow the docks of the zone down by the class."""
    good, city, zone, name, dock = _read(text)
    docks = [(c, d) for (z, c), d in _DOCKS.items() if z == zone]
    rest = " and ".join(f"{d} is {c}" for c, d in docks if c != name)
    return Solution(
        (
            Step(f"{city} is {zone}, so the docks are {', '.join(d for _, d in docks)}.", f"{city} {zone}"),
            Step(f"Of these {rest}.", f"not {' '.join(d for c, d in docks if c != name)}"),
            Step(f"{good.capitalize()} are {name}, which leaves dock {dock}.", f"{good} {name} {dock}"),
        ),
        dock,
        _others(zone, name),
    )


def tabulate(text: str) -> Solution:
    """Read the plan of the class row by row."""
    good, city, zone, name, dock = _read(text)
    row = ", ".join(f"{z} {d}" for (z, c), d in _DOCKS.items() if c == name)
    return Solution(
        (
            Step(f"The plan for {name} goods such as {good}: {row}.", f"{good} {name}"),
            Step(f"The column for {city} is {zone}.", f"{city} {zone}"),
            Step(f"It holds dock {dock}.", f"{zone} {dock}"),
        ),
        dock,
        _others(zone, name),
    )


KIND = Kind(
    "routing",
    generate,
    lambda text: bool(_TEXT.search(text)),
    {"forward": forward, "eliminate": eliminate, "tabulate": tabulate},
)
