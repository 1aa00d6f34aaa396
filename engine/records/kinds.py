"""Which kinds of files are read, and what a file is that only bears the name of one."""

from __future__ import annotations

from pathlib import Path

from engine.errors import InputError

PARQUET = ".parquet"
KINDS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".txt", PARQUET)
_EXCEL = "an Excel file: save its sheet as CSV (UTF-8) and give that"
_SHEETS = {
    ".xlsx": _EXCEL,
    ".xlsm": _EXCEL,
    ".xlsb": _EXCEL,
    ".xls": _EXCEL,
    ".ods": _EXCEL.replace("n Excel", " Calc"),
}
_UNPACK = "unpack it, and give the file that is inside"
_CONTENTS = (
    (b"PK\x05\x06", f"an empty zip file: {_UNPACK}"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _EXCEL.replace("an Excel file", "an older Excel or Word file")),
    (b"PAR1", "a Parquet file: name it .parquet"),
    (b"\x1f\x8b", "packed with gzip: name it .gz behind its kind, as rows.jsonl.gz"),
    (b"%PDF-", "a PDF: give the text as .txt or a table as .csv"),
    (b"SQLite format 3\0", "an SQLite file: write its table as .csv"),
    (b"ARROW1", "an Arrow file: write it as .parquet"),
    (b"Obj\x01", "an Avro file: write it as .parquet"),
    (b"ORC", "an ORC file: write it as .parquet"),
    (b"BZh", f"packed with bzip2: {_UNPACK}"),
    (b"\xfd7zXZ\0", f"packed with xz: {_UNPACK}"),
    (b"\x28\xb5\x2f\xfd", f"packed with zstd: {_UNPACK}"),
    (b"7z\xbc\xaf\x27\x1c", f"a 7z file: {_UNPACK}"),
    (b"Rar!\x1a\x07", f"a RAR file: {_UNPACK}"),
    (b"\x7fELF", "a program"),
    (b"\x89PNG\r\n", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"{\\rtf", "a text document (RTF): save it as plain text"),
)
"""How files of other kinds begin, and what to do with them."""
_PAGES = (b"<!doctype html", b"<html")


def find_kind(path: Path) -> str:
    """The kind of a file by its name.

    Raises:
        InputError: if it is none that is read.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = next((suffix for suffix in reversed(suffixes) if suffix != ".gz"), "")
    if kind in _SHEETS:
        raise InputError(f"{path.name} is {_SHEETS[kind]}")
    if kind not in KINDS or (kind == PARQUET and suffixes[-1] == ".gz"):
        raise InputError(
            f"{path.name}: of unknown kind; give .jsonl, .json, .csv, .tsv or .txt, or these .gz, or .parquet"
        )
    return kind


def name_content(head: bytes) -> str:
    """What a file is by its first 600 bytes, and what to do with it; "" where it may well be text."""
    if head.startswith(b"PK\x03\x04"):
        first = head[30:]
        if first.startswith((b"[Content_Types].xml", b"_rels/", b"xl/", b"docProps/")):
            return _EXCEL if b"word/" not in head else "a Word document: save it as plain text"
        if first.startswith(b"mimetypeapplication/vnd.oasis"):
            return _SHEETS[".ods"]
        return f"a zip file: {_UNPACK}"
    if head[257:262] == b"ustar":
        return f"a tar file: {_UNPACK}"
    if head.lstrip()[:20].lower().startswith(_PAGES):
        return "a web page (HTML) and no data: the address it came from may ask for a login"
    return next((what for begin, what in _CONTENTS if head.startswith(begin)), "")
