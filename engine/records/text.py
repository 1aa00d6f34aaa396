"""The text of a file, packed or not, piece by piece: in its own encoding and never more than it may unpack to."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from engine.errors import InputError
from engine.records.row import MAX_ROW

MAX_FILE = 8 * 2**30
"""Bytes of a file as it is."""
MAX_UNPACKED = 2 * 2**30
"""Bytes that a packed file may unpack to. Text packs to a third or a tenth of its size; a bomb to a thousandth."""
FREE_UNPACKED = 64 * 2**20
"""Bytes that any packed file may unpack to, however small it is."""
MOST_TIMES = 200
"""How many times its size a packed file may unpack to, beyond what is free."""
PIECE = 2**20
"""Characters of the longest piece."""
_HINT = "; give it as an unpacked .jsonl or .csv"
_SNIFF_BYTES = 2**20
_MOSTLY = 0.9
_FEW = 10
"""Bytes beyond ASCII that tell an encoding."""
_ESCAPED = re.compile("[\udc80-\udcff]")
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Ceiling:
    """Counts what a packed file unpacks to, while it does."""

    def __init__(
        self,
        name: str,
        packed: int,
        free: int = FREE_UNPACKED,
        times: int = MOST_TIMES,
        hint: str = _HINT,
        most: int = MAX_UNPACKED,
        does: str = "unpacks to",
    ) -> None:
        """For a file of `packed` bytes; `hint` is what to do with one that is too large, `most` the highest ceiling."""
        self._name, self._hint, self._does = name, hint, does
        self._most = min(most, max(free, times * packed))
        self._count = 0

    def add(self, size: int) -> None:
        """Count more bytes.

        Raises:
            InputError: if they are too many.
        """
        self._count += size
        if self._count > self._most:
            raise InputError(
                f"{self._name} {self._does} more than {self._most // 2**20:,} MiB, the most that a file of its size "
                f"may{self._hint}"
            )


class _Unpacked(io.RawIOBase):
    """The bytes of a gzip file, under a ceiling."""

    def __init__(self, path: Path) -> None:
        self._file = gzip.GzipFile(path, "rb")
        self._ceiling = Ceiling(path.name, path.stat().st_size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._file.read(len(buffer))
        self._ceiling.add(len(data))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def open_bytes(path: Path) -> IO[bytes]:
    """A file's bytes, unpacked as they are read.

    Reading raises InputError where a packed file unpacks to too much.
    """
    return io.BufferedReader(_Unpacked(path), 2**16) if path.suffix.lower() == ".gz" else path.open("rb")


def read_pieces(path: Path) -> Iterator[str]:
    """Lines with their newline, longer ones in pieces. Bytes that are not UTF-8 are escaped, as lone surrogates.

    Raises:
        InputError: if the file breaks off, is damaged, or unpacks to too much.
    """
    encoding = find_encoding(path)
    errors = "replace" if encoding.startswith(("utf-16", "utf-32")) else "surrogateescape"
    try:
        with open_bytes(path) as raw, io.TextIOWrapper(raw, encoding, errors=errors, newline="") as file:
            while piece := file.readline(PIECE):
                yield piece
    except EOFError as error:
        raise InputError(f"{path.name} breaks off: it is cut short") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path.name} breaks off: it is no whole gzip file") from error
    except UnicodeError as error:
        raise InputError(f"{path.name} breaks off: it is no {encoding}") from error
    except OSError as error:
        raise InputError(f"{path.name} breaks off ({error.strerror})") from error


def read_lines(path: Path) -> Iterator[tuple[str, str | None]]:
    """Lines with their newline, and what is wrong with each; of a line that is too long only that."""
    text, size, problem = "", 0, None
    for piece in read_pieces(path):
        size += len(piece)
        problem = problem or find_problem(piece)
        text = text + piece if size <= MAX_ROW else ""
        if piece[-1] in "\r\n":
            yield text, problem if size <= MAX_ROW else too_long()
            text, size, problem = "", 0, None
    if size:
        yield text, problem if size <= MAX_ROW else too_long()


def too_long() -> str:
    """What is wrong with a row that is longer than rows may be."""
    return f"longer than {MAX_ROW:,} characters"


def find_problem(piece: str) -> str | None:
    """What of a text can't be stored as it is."""
    if "\0" in piece:
        return "a text holds a NUL character"
    if piece.isascii():
        return None
    escaped = _ESCAPED.search(piece)
    return f"not UTF-8 (byte 0x{ord(escaped[0]) - 0xDC00:02x})" if escaped else None


def find_encoding(path: Path) -> str:
    """UTF-8 where nine lines in ten are; else the byte order mark's or the likeliest legacy encoding.

    Where Windows' Western one is among the likely, it is taken: neighbours of it score alike on few accents. So it is
    where a file has next to none, from which nothing can be told.

    Raises:
        InputError: if the file can't be read.
    """
    try:
        with open_bytes(path) as file:
            head = file.read(_SNIFF_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        what = "it is no whole gzip file" if path.suffix.lower() == ".gz" else "the system refuses"
        raise InputError(f"{path.name} can't be read: {what}") from error
    marked = next((name for mark, name in _MARKS if head.startswith(mark)), None) or _unmarked_utf16(head)
    if marked:
        return marked
    if len(head) == _SNIFF_BYTES:
        head = head[: _whole_characters(head)]
    lines = head.splitlines()
    good = sum(_is_utf8(line) for line in lines)
    if good >= _MOSTLY * max(1, len(lines)):
        return "utf-8-sig"
    if sum(byte >= 0x80 for byte in head[:50_000]) < _FEW:
        return "cp1252"
    import charset_normalizer  # noqa: PLC0415 - few files need it, and it takes a third of the time to start

    likely = charset_normalizer.from_bytes(head[:50_000])
    if any("cp1252" in (match.encoding, *match.could_be_from_charset) for match in likely):
        return "cp1252"
    best = likely.best()
    return best.encoding if best else "utf-8-sig"


_CONTROLS = bytes(set(range(1, 32)) - set(b"\t\n\r"))


def _unmarked_utf16(head: bytes) -> str | None:
    """UTF-16 without a byte order mark: NULs stand in every other place only, and beside most ends of a line.

    In Western text that is every other byte; in others still beside spaces, digits and ends of lines. What reads as
    UTF-8 without other control characters is that, and holds a few NULs.
    """
    plain = _is_plain(head[: _whole_characters(head)])
    head = head[: len(head) // 2 * 2]
    if b"\0" not in head:
        return None
    for encoding, low, high in (("utf-16-le", head[0::2], head[1::2]), ("utf-16-be", head[1::2], head[0::2])):
        nuls, ends = high.count(0), low.count(b"\n")
        beside = sum(high[match.start()] == 0 for match in re.finditer(b"\n", low))
        every = nuls > 0.4 * len(high)
        some = not plain and nuls > 0.02 * len(high) and 2 * beside > ends
        if (every or some) and low.count(0) < 0.05 * nuls:
            return encoding
    return None


def _is_plain(head: bytes) -> bool:
    """Whether these bytes are UTF-8 with hardly a control character but ends of lines, tabs and NULs."""
    controls = sum(head.count(byte) for byte in _CONTROLS)
    return controls <= 0.02 * len(head) and _is_utf8(head)


def _whole_characters(head: bytes) -> int:
    """Where the last character begins that may be cut off, if these bytes are UTF-8; else their number."""
    for back in range(1, min(4, len(head)) + 1):
        if head[-back] & 0xC0 == 0xC0:  # the first byte of a character of several bytes
            return len(head) - back
        if head[-back] < 0x80:
            break
    return len(head)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
