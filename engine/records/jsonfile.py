"""JSON read row by row: a file with one value a line, or one value whose list of rows is never held as a whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.errors import InputError
from engine.records.row import MAX_COLUMNS, MAX_ROW, RawRow
from engine.records.text import read_lines, read_pieces, too_long

_WINDOW = 2**16
_MOST_STRANGE = 10_000
_SPACE = " \t\r\n"


class _Twice(ValueError):
    """An object has two fields of one name: all but the last would vanish."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        seen: set[str] = set()
        name = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise _Twice(f"two fields have the name {name[:40]!r}")
    return fields


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def read_json_lines(path: Path) -> Iterator[RawRow]:
    """One row a line; empty lines are none."""
    for row, (line, error) in enumerate(read_lines(path), 1):
        if not error and not line.strip():
            continue
        values: Any = {}
        if error is None:
            values, error = _read_line(line)
        yield RawRow(row, values, error, row)


def _read_line(line: str) -> tuple[Any, str | None]:
    try:
        return _DECODER.decode(line.strip()), None
    except _Twice as problem:
        return {}, str(problem)
    except json.JSONDecodeError as problem:
        return {}, f"not JSON: {problem.msg} at character {problem.colno:,}"
    except (ValueError, RecursionError):  # a number of thousands of digits; lists in lists without end
        return {}, "not JSON that can be read"


def read_json(path: Path) -> Iterator[RawRow]:
    """Rows of one JSON value: a list of them, an object around one list, or a single row. A text in a list is a query.

    The file is read twice, so that one that is not JSON to its end is refused before a row of it is used.

    Raises:
        InputError: if it is not JSON, or holds no rows.
    """
    try:
        shape = _survey(path)
    except RecursionError as error:
        raise InputError(f"{path.name} is not JSON that can be read: lists in lists without end") from error
    if shape is None:
        return read_json_lines(path)
    return _read_rows(path, *shape)


def _survey(path: Path) -> tuple[bool, str | None] | None:
    """Whether the value is an object, and the name of its only list; None if the file holds one value a line."""
    text = _Text(path)
    first = text.peek()
    if first == "[":
        strange = 0
        for value, _, _ in text.items():
            strange += not isinstance(value, (dict, str))
            if strange > _MOST_STRANGE:
                raise InputError(f"{path.name} holds no list of rows: {strange:,} of its values have no named fields")
        text.end()
        return False, None
    if first != "{":
        text.value()
        text.end()
        raise InputError(f"{path.name} holds no list of rows")
    lists = [name for name, is_list in text.fields() if is_list]
    if text.peek() == "{":
        return None
    text.end()
    return True, lists[0] if len(lists) == 1 else None


def _read_rows(path: Path, is_object: bool, name: str | None) -> Iterator[RawRow]:
    text = _Text(path)
    if is_object and name is None:
        value, problem = text.value()
        yield RawRow(1, value, problem)
        return
    if is_object:
        for _ in text.fields(until=name):
            pass
    for row, (value, problem, line) in enumerate(text.items(), 1):
        yield RawRow(row, {"query": value} if isinstance(value, str) else value, problem, line)


class _Text:
    """The text of a JSON file, of which no more is held than the value being read."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self._pieces = read_pieces(path)
        self._buffer = ""
        self._place = 0
        self._line = 1
        self._counted = 0
        self._over = False

    @property
    def line(self) -> int:
        """The line of the file that one is in."""
        self._line += self._buffer.count("\n", self._counted, self._place)
        self._counted = self._place
        return self._line

    def _more(self, size: int) -> bool:
        """Hold up to `size` more characters; False at the end of the file."""
        if self._over:
            return False
        self._line, self._counted = self.line, 0
        rest = self._buffer[self._place :]
        parts, added = [rest], 0
        while added < size and (piece := next(self._pieces, "")):
            parts.append(piece)
            added += len(piece)
        self._buffer, self._place, self._over = "".join(parts), 0, added < size
        return added > 0

    def peek(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            while self._place < len(self._buffer):
                if self._buffer[self._place] not in _SPACE:
                    return self._buffer[self._place]
                self._place += 1
            if not self._more(_WINDOW):
                return ""

    def _take(self, *wanted: str) -> str:
        character = self.peek()
        if character not in wanted or not character:
            raise self._broken(f"{' or '.join(wanted)} is missing")
        self._place += 1
        return character

    def _broken(self, why: str) -> InputError:
        return InputError(f"{self._name} is not JSON: {why} in line {self.line:,}")

    def end(self) -> None:
        """See that nothing follows.

        Raises:
            InputError: if something does.
        """
        if self.peek():
            raise self._broken("more text stands behind its end")

    def value(self) -> tuple[Any, str | None]:
        """The next value, and what is wrong with it although it is JSON.

        Raises:
            InputError: if it is not JSON, or longer than a row may be.
        """
        self.peek()
        while True:
            value, end, problem, broken = self._decode()
            if not broken and (end < len(self._buffer) or self._over):
                self._place = end
                return value, problem
            length = len(self._buffer) - self._place
            if length > MAX_ROW:
                raise self._broken(f"a value is {too_long()}, or does not end,")
            if not self._more(max(_WINDOW, length)) and broken:
                raise self._broken(broken)

    def _decode(self) -> tuple[Any, int, str | None, str]:
        """What is held from here on as a value, its end, what is wrong with it; or why there is none (yet)."""
        try:
            return *_DECODER.raw_decode(self._buffer, self._place), None, ""
        except _Twice as error:
            return *json.JSONDecoder().raw_decode(self._buffer, self._place), str(error), ""
        except json.JSONDecodeError as error:
            return None, 0, None, error.msg
        except ValueError:
            return None, 0, None, "a number of thousands of digits"

    def items(self) -> Iterator[tuple[Any, str | None, int]]:
        """The values of the list that begins here, what is wrong with each, and the line that it begins in."""
        self._take("[")
        if self.peek() == "]":
            self._take("]")
            return
        while True:
            self.peek()
            line = self.line
            yield *self.value(), line
            if self._take(",", "]") == "]":
                return

    def fields(self, until: str | None = None) -> Iterator[tuple[str, bool]]:
        """The names of the object that begins here, and whether each holds a list; the values are passed over.

        Stops in front of the list named `until`.
        """
        self._take("{")
        seen: set[str] = set()
        while self.peek() != "}" or seen:
            name, _ = self.value()
            if not isinstance(name, str) or name in seen or len(seen) == MAX_COLUMNS:
                raise self._broken("a name is no text, stands there twice, or is one of too many")
            seen.add(name)
            self._take(":")
            is_list = self.peek() == "["
            if is_list and name == until:
                return
            if is_list:
                for _ in self.items():
                    pass
            else:
                self.value()
            yield name, is_list
            if self._take(",", "}") == "}":
                return
        self._take("}")
