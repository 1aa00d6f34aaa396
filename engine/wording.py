"""Words of messages: numbers with their nouns, ranges, and what is wrong with a setting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_NEEDED = {
    ("ProjectConfig", "name"): "A project needs a name.",
    ("TeacherConfig", "name"): "A teacher needs a name.",
    ("TeacherConfig", "model"): "A teacher needs the name of its model.",
    ("Plan", "name"): "A plan needs a name.",
}
_FORMS = {
    ("TeacherConfig", "name"): "take letters, digits, spaces, dots, hyphens and underscores only",
    ("TeacherConfig", "key_variable"): (
        "give the name of a variable in capitals, as OPENAI_API_KEY; the key itself belongs into the field Key"
    ),
    ("Step", "name"): "take letters, digits, hyphens and underscores only, at most 100",
}
_BOUNDS = {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}
_WHOLE = {"int_type", "int_parsing", "int_from_float", "int_parsing_size"}
_NUMBERS = {"float_type", "float_parsing", "finite_number", "decimal_type", "decimal_parsing", "is_instance_of"}
_VERBS = {
    "is": "are",
    "was": "were",
    "has": "have",
    "lacks": "lack",
    "differs": "differ",
    "goes": "go",
    "names": "name",
}


def say_span(seconds: float) -> str:
    """A span of time as a person says it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: "1 query", "2,000 queries", "0 boxes"."""
    return f"{number:,} {noun if number == 1 else plural or plural_of(noun)}"


def plural_of(noun: str) -> str:
    """The regular plural of an English noun."""
    if noun.endswith("y") and noun[-2:-1] not in set("aeiou"):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "ch", "sh")) else f"{noun}s"


def verb(number: int, singular: str) -> str:
    """The form of a verb that goes with a number: is or are, was or were, has or have."""
    return singular if number == 1 else _VERBS[singular]


def bounds_of(field: FieldInfo) -> tuple[float | None, float | None, bool, bool]:
    """The lowest and highest value of a setting, and whether each is left out itself."""
    low = high = None
    above = below = False
    for rule in field.metadata:
        if getattr(rule, "ge", None) is not None:
            low = rule.ge
        if getattr(rule, "gt", None) is not None:
            low, above = rule.gt, True
        if getattr(rule, "le", None) is not None:
            high = rule.le
        if getattr(rule, "lt", None) is not None:
            high, below = rule.lt, True
    return low, high, above, below


def range_text(low: float | None, high: float | None, above: bool = False, below: bool = False) -> str:
    """A range as it follows on "a number": "from 0 to 2", "above 0", "of at least 1"; "" where anything goes."""
    if low is not None and high is not None:
        if not above and not below:
            return f" from {low:,g} to {high:,g}"
        return f" {'above' if above else 'from'} {low:,g} {'and below' if below else 'up to'} {high:,g}"
    if low is not None:
        return f" above {low:,g}" if above else f" of at least {low:,g}"
    if high is not None:
        return f" below {high:,g}" if below else f" of at most {high:,g}"
    return ""


def say_wrong(model: type[BaseModel], wrong: Mapping[str, Any]) -> str:
    """One of pydantic's findings in our words. What was typed is not repeated: it may be a key in the wrong field.

    `wrong` is an entry of `ValidationError.errors()`.
    """
    place, kind, context = wrong["loc"], str(wrong["type"]), wrong.get("ctx") or {}
    if kind == "value_error":
        message = str(context.get("error", "the values don't fit together"))
        return f"{say_place(place)}: {message}" if place else message
    owner = (model.__name__, str(place[-1]) if place else "")
    if kind == "missing" or (kind == "string_too_short" and not str(wrong.get("input") or "").strip()):
        return _NEEDED.get(owner, f"{say_place(place)} is missing")
    field = model.model_fields.get(str(place[0])) if len(place) == 1 else None
    return f"{say_place(place)}: {_advise(kind, context, owner, field)}"


def say_place(place: tuple[Any, ...]) -> str:
    """Where a setting stands, by the names that files and options use."""
    return ".".join(map(str, place))


def _advise(kind: str, context: Mapping[str, Any], owner: tuple[str, str], field: FieldInfo | None) -> str:
    whole = "int" in str(field.annotation) if field is not None else kind in _WHOLE
    number = "a whole number" if whole else "a number"
    if kind in _BOUNDS and field is None:
        names = {"gt": ("low", True), "ge": ("low", False), "lt": ("high", True), "le": ("high", False)}
        name = next(name for name in names if name in context)
        value, (side, strict) = float(context[name]), names[name]
        given = range_text(value, None, strict) if side == "low" else range_text(None, value, below=strict)
        return f"give a number{given}"
    if kind in _BOUNDS or kind in _WHOLE or kind in _NUMBERS:
        return f"give {number}{range_text(*bounds_of(field)) if field is not None else ''}"
    advice = {
        "string_too_long": f"take at most {context.get('max_length', 0):,} characters",
        "string_too_short": f"take at least {counted(int(context.get('min_length', 1)), 'character')}",
        "string_pattern_mismatch": _FORMS.get(owner, "it is not of the form that is expected"),
        "literal_error": f"choose {context.get('expected', 'one of those that there are')}",
        "extra_forbidden": "there is no such setting",
        "too_short": "give more of them",
        "too_long": "give fewer of them",
    }
    if kind.startswith("bool"):
        return "give yes or no"
    return advice.get(kind, "it is not of the form that is expected")
