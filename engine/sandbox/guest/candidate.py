"""The side of the answer: runs its code, then does what it is asked with its functions, and tells the results.

Nothing here can be trusted once the answer's code has run: it may have changed any of it. So this side knows no test,
no expected value and no nonce. All it can do is to give plain values to whoever asks; the other side compares.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from engine.sandbox.guest.plain import MARKER, Sink, as_json, decode, encode

_MESSAGE = 300


class Candidate:
    """An answer's namespace, and the objects of its that the other side holds by name."""

    def __init__(self) -> None:
        """Empty; `load` fills it."""
        self.namespace: dict[str, Any] = {"__name__": "candidate", "__builtins__": __builtins__}
        self._objects: dict[str, Any] = {}
        self._seen: dict[str, int] = {}
        self._prefix = ""

    def load(self, prelude: str, setup: str, code: str) -> None:
        """Run what comes before, and the code; setup that needs the code's names runs behind it."""
        exec(compile(prelude, "<prelude>", "exec"), self.namespace)
        early = True
        try:
            exec(compile(setup, "<setup>", "exec"), self.namespace)
        except Exception:
            early = False
        exec(compile(code, "<answer>", "exec"), self.namespace)
        if not early:
            exec(compile(setup, "<setup>", "exec"), self.namespace)

    def perform(self, op: list[Any]) -> list[Any]:
        """Do one thing that is asked: ["ok", result, arguments afterwards], or ["raised", type, message]."""
        key = repr(op)
        self._seen[key] = self._seen.get(key, 0) + 1
        self._prefix = f"{key} {self._seen[key]}"
        if "random" in sys.modules:
            sys.modules["random"].seed(0)
        try:
            kind, target, *rest = op
            obj = self._find(target)
            if kind != "call":
                return ["ok", encode(_PLAIN[kind](obj, *(decode(part, self._find) for part in rest)), self._hold), []]
            args = [decode(part, self._find) for part in rest[0]]
            named = {name: decode(part, self._find) for name, part in rest[1]}
            result = encode(obj(*args, **named), self._hold)
            return ["ok", result, [encode(part, self._hold) for part in args if isinstance(part, _CHANGEABLE)]]
        except BaseException as error:
            return ["raised", type(error).__name__, _say(error)]

    def _hold(self, value: Any) -> list[str]:
        known = next((name for name, other in self._objects.items() if other is value), None)
        name = known or f"{self._prefix}.{len(self._objects)}"
        self._objects[name] = value
        return ["held", name, type(value).__name__]

    def _find(self, data: Any) -> Any:
        kind, text, *rest = data
        if kind == "held":
            return self._objects[text]
        if kind == "name":
            if text in self.namespace:
                return self.namespace[text]
            raise NameError(f"name {text!r} is not defined")
        if kind == "of":
            return getattr(importlib.import_module(text), rest[0])
        if kind == "source":
            return eval(compile(text, "<tests>", "eval"), dict(self.namespace))
        if kind == "def":
            own = dict(self.namespace)
            exec(compile(text, "<tests>", "exec"), own)
            return own[rest[0]]
        raise ValueError(f"{kind!r} is no kind of value")


_CHANGEABLE = (list, dict, set, bytearray)
_PLAIN: dict[str, Any] = {
    "get": getattr,
    "set": setattr,
    "item": lambda value, key: value[key],
    "put": lambda value, key, item: value.__setitem__(key, item),
    "len": len,
    "list": list,
    "str": str,
    "repr": repr,
}


def _say(error: BaseException) -> str:
    try:
        return str(error)[:_MESSAGE]
    except BaseException:
        return ""


def run_candidate(payload: dict[str, Any]) -> None:
    """Run the code, do all that is asked in order, and report."""
    out = sys.stdout
    sink = Sink(payload["output"])
    sys.stdout = sys.stderr = sink
    candidate, replies, broken = Candidate(), [], None
    try:
        candidate.load(payload["prelude"], payload["setup"], payload["code"])
    except BaseException as error:
        broken = [type(error).__name__, _say(error)]
    else:
        replies = [candidate.perform(op) for op in payload["ops"]]
    out.write(MARKER + as_json({"broken": broken, "replies": replies, "flooded": sink.flooded}))
    out.flush()
