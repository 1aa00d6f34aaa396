"""Plain data as JSON: the only thing that passes between an answer's process and the one that judges it.

A value of a subclass goes as the value of its base, so an `__eq__` of its own stays behind. What is not plain is named
by whoever encodes it, or is an error.
"""

from __future__ import annotations

import importlib
import itertools
import sys
from typing import Any

MOST_ITEMS = 100_000
MARKER = "\n#tacit-report:"

_AS_TEXT = {
    "decimal.Decimal": "__str__",
    "fractions.Fraction": "__str__",
    "datetime.datetime": "isoformat",
    "datetime.date": "isoformat",
    "datetime.time": "isoformat",
}
_MANY = ("collections.deque", "collections.Counter", "collections.OrderedDict", "collections.defaultdict")
_ITEMS: Any = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}


def find_type(name: str) -> Any:
    """A type by its full name, where its module was loaded; no module is loaded for it, since that takes time."""
    module, _, own = name.rpartition(".")
    return getattr(sys.modules.get(module), own, None)


def encode(value: Any, name: Any) -> Any:
    """A value as JSON: null, true, false or text as it is, everything else as [kind, ...].

    Raises:
        TypeError: if it is not plain, and `name` has no name for it.
        OverflowError: if it goes on without an end.
        RecursionError: if it holds itself.
    """
    if value is None or value is True or value is False or type(value) is str:
        return value
    if isinstance(value, int):
        return ["int", hex(int.__index__(value))]
    if isinstance(value, float):
        return ["float", float.hex(value)]
    if isinstance(value, complex):
        return ["complex", float.hex(value.real), float.hex(value.imag)]
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (bytes, bytearray)):
        return ["bytes" if isinstance(value, bytes) else "bytearray", bytes(value).hex()]
    if isinstance(value, range):
        return ["range", *(hex(part) for part in (value.start, value.stop, value.step))]
    return _encode_loaded(value, name)


def _encode_loaded(value: Any, name: Any) -> Any:
    delta = find_type("datetime.timedelta")
    if delta is not None and isinstance(value, delta):
        return ["timedelta", *(hex(part) for part in (value.days, value.seconds, value.microseconds))]
    for kind, method in _AS_TEXT.items():
        type_ = find_type(kind)
        if type_ is not None and isinstance(value, type_):
            return [kind, getattr(type_, method)(value)]
    return _encode_many(value, name)


def _encode_many(value: Any, name: Any) -> Any:
    for kind in (*_ITEMS, *_MANY, "dict"):
        type_: Any = _ITEMS.get(kind) or (dict if kind == "dict" else find_type(kind))
        if type_ is not None and isinstance(value, type_):
            if issubclass(type_, dict):
                return [kind, [[encode(key, name), encode(item, name)] for key, item in dict.items(value)]]
            return [kind, [encode(item, name) for item in type_.__iter__(value)]]
    views: Any = (("keys", {}.keys()), ("values", {}.values()), ("items", {}.items()))
    for kind, view in views:
        if isinstance(value, type(view)):
            return [kind, [encode(item, name) for item in value]]
    if hasattr(type(value), "__next__"):
        items = list(itertools.islice(value, MOST_ITEMS + 1))
        if len(items) > MOST_ITEMS:
            raise OverflowError(f"an iterator gave more than {MOST_ITEMS} items")
        return ["iterator", [encode(item, name) for item in items]]
    return name(value)


def decode(data: Any, find: Any) -> Any:
    """The inverse of `encode`; what is none of its kinds is asked of `find`.

    Raises:
        Exception: of any kind, where the data are none that `encode` makes.
    """
    if data is None or isinstance(data, (bool, str)):
        return data
    kind, *rest = data
    reader = _READERS.get(kind)
    if reader is not None:
        return reader(*rest)
    if kind in ("dict", "collections.Counter", "collections.OrderedDict", "collections.defaultdict"):
        pairs = [(decode(key, find), decode(item, find)) for key, item in rest[0]]
        made = dict(pairs) if kind == "dict" else _load(kind)()
        made.update(dict(pairs))
        return made
    if kind in _AS_TEXT:
        return getattr(_load(kind), "fromisoformat" if kind.startswith("datetime") else "__call__")(rest[0])
    if kind not in _ITEMS and kind not in ("collections.deque", "keys", "values", "items", "iterator"):
        return find(data)
    return _gather(kind, [decode(item, find) for item in rest[0]])


def _gather(kind: str, items: list[Any]) -> Any:
    if kind == "keys":
        return dict.fromkeys(items).keys()
    if kind == "values":
        return dict(enumerate(items)).values()
    if kind == "items":
        return dict(items).items()
    if kind == "iterator":
        return iter(items)
    return _ITEMS[kind](items) if kind in _ITEMS else _load(kind)(items)


def _load(kind: str) -> Any:
    module, _, own = kind.rpartition(".")
    return getattr(importlib.import_module(module), own)


def _read_delta(*parts: str) -> Any:
    return _load("datetime.timedelta")(*(int(part, 16) for part in parts))


_READERS: Any = {
    "int": lambda text: int(text, 16),
    "float": float.fromhex,
    "complex": lambda real, imag: complex(float.fromhex(real), float.fromhex(imag)),
    "bytes": bytes.fromhex,
    "bytearray": bytearray.fromhex,
    "range": lambda *parts: range(*(int(part, 16) for part in parts)),
    "timedelta": _read_delta,
}


def as_json(value: Any) -> str:
    """What `encode` makes, in lists and dicts with names, as JSON; `json` itself takes twice an interpreter's start."""
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return _quote(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_quote(key)}:{as_json(item)}" for key, item in value.items()) + "}"
    return "[" + ",".join(map(as_json, value)) + "]"


def _quote(text: str) -> str:
    parts = [char if " " <= char <= "~" and char not in '"\\' else _escape(ord(char)) for char in text]
    return f'"{"".join(parts)}"'


def _escape(code: int) -> str:
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


def show(value: Any) -> str:
    """A value as text that is the same wherever values are equal and of one type: sets and dicts in order."""
    if isinstance(value, (set, frozenset)):
        return f"{type(value).__name__}({{{', '.join(sorted(map(show, value)))}}})"
    if isinstance(value, dict):
        pairs = sorted(f"{show(key)}: {show(item)}" for key, item in value.items())
        return f"{type(value).__name__}({{{', '.join(pairs)}}})"
    if isinstance(value, (list, tuple)) or type(value).__name__ == "deque":
        return f"{type(value).__name__}({', '.join(map(show, value))})"
    if hasattr(type(value), "__next__"):
        return f"iterator({', '.join(map(show, value))})"
    if isinstance(value, int) and not isinstance(value, bool):
        return hex(value) if abs(value) >= 10**1000 else str(value)
    return repr(value)


class Sink:
    """Stands for stdout and stderr: counts what is printed, keeps none of it.

    Raises OSError in whoever prints more than `most` characters.
    """

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, most: int) -> None:
        """`most` characters may be printed."""
        self.left = most
        self.flooded = False

    def write(self, text: str) -> int:
        """Count it."""
        self.left -= len(text)
        if self.left < 0:
            self.flooded = True
            raise OSError("too much output")
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def isatty(self) -> bool:
        """It is no terminal."""
        return False
