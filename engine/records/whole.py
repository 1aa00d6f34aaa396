"""One value of a file, JSON or TOML, that a stranger may have made: a study's grid, a study's record.

It is parsed in a process of its own, as rows are: `read_values` asks, `python -m engine.records.whole LIMITS... FORM
FILE` does it. Its lines are lists of one text each: the value as JSON, in pieces.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from engine.errors import InputError
from engine.records.apart import limits_of, read_apart, read_lists
from engine.records.child import serve

MAX_DEPTH = 100
"""Lists and tables in one another."""
MAX_VALUES = 2_000_000
"""Values, lists and tables of a file."""
_PIECE = 4 * 2**20
_DAMAGED = "holds what can't be read as text"


def read_values(files: Sequence[Path], form: Literal["JSON", "TOML"], most: int) -> Iterator[Any]:
    """The values of files of at most `most` bytes, in their order.

    Raises:
        InputError: if one is not there, too large, not of its form, or made to do harm; by the file's name.
    """
    for file in files:
        try:
            size = file.stat().st_size
        except OSError as error:
            raise InputError(f"there is no file {file} that can be read") from error
        if size > most:
            raise InputError(f"{file.name} has more than {most:,} bytes; such a file has fewer")
        words = [form, str(file.absolute())]
        pieces: list[str] = []
        for (piece,) in read_lists(read_apart("engine.records.whole", words, limits_of(size), file.name), file.name):
            pieces.append(str(piece))
        yield json.loads("".join(pieces))


def _read(words: Sequence[str]) -> Iterator[bytes]:
    """As `read_values` of one file, in the process itself."""
    form, path = words[0], Path(words[1])
    try:
        text = path.read_text("utf-8")
        value = tomllib.loads(text) if form == "TOML" else json.loads(text)
    except OSError as error:
        raise InputError(f"there is no file {path} that can be read") from error
    except RecursionError:
        raise InputError(f"{path.name} holds over {MAX_DEPTH} lists and tables in one another") from None
    except ValueError as error:  # the parser's words name line and column
        raise InputError(f"{path.name} is no {form}: {str(error)[:300]}") from error
    _measure(value, path.name)
    try:
        text_again = json.dumps(value, ensure_ascii=False, default=str)
        text_again.encode()
    except ValueError as error:
        raise InputError(f"{path.name} {_DAMAGED}") from error
    for begin in range(0, len(text_again), _PIECE):
        yield json.dumps([text_again[begin : begin + _PIECE]], ensure_ascii=False).encode()


def _measure(value: Any, name: str) -> None:
    """See that a value is neither too deep nor too much for whoever is told it.

    Raises:
        InputError: if it is.
    """
    level, count, depth = [value], 0, 0
    while level:
        count += len(level)
        if depth > MAX_DEPTH:
            raise InputError(f"{name} holds over {MAX_DEPTH} lists and tables in one another")
        if count > MAX_VALUES:
            raise InputError(f"{name} holds over {MAX_VALUES:,} values")
        level, depth = [inner for outer in level for inner in _inside(outer)], depth + 1


def _inside(value: Any) -> Sequence[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ()


if __name__ == "__main__":
    serve(_read, lambda words: Path(words[1]).name)
