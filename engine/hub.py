"""Rows of a dataset on the Hugging Face Hub, streamed. https://huggingface.co/docs/datasets/stream"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from engine.errors import InputError
from engine.records import Record, check_row, read_records

HUB = "hf:"
_NAME = re.compile(r"(?P<name>[\w.\-/~]+?)(?::(?P<config>[\w.\-]+))?(?:@(?P<split>[\w.\-\[\]%:]+))?")
_OWNED = re.compile(r"\w[\w.\-]*/\w[\w.\-]*")
"""A name with its owner, that is no path."""


def open_records(source: str | Path) -> Iterator[Record]:
    """Rows of a file, or of a Hub dataset named `hf:OWNER/NAME[:CONFIG][@SPLIT]` (split train where none is given).

    Raises:
        InputError: if there is no such file or dataset.
    """
    if isinstance(source, Path) or not source.startswith(HUB):
        return read_records(Path(source))
    match = _parse(source)
    return _stream(match["name"], match["config"], match["split"] or "train")


def refuse_folders(source: str | Path) -> None:
    """Where strangers name datasets: nothing but a dataset on the Hub may be meant, never what lies on this machine.

    The library that reads datasets takes a folder's path for one, and a name without an owner for a way to read the
    working folder, as json.

    Raises:
        InputError: if it could be anything else.
    """
    if isinstance(source, Path) or not source.startswith(HUB):
        return
    name = _parse(source)["name"]
    if not _OWNED.fullmatch(name) or Path(name).exists():
        raise InputError(
            f"{source[:200]}: here only datasets on the Hub can be named, as hf:OWNER/NAME. Folders of the server are "
            "read by a studio of one's own without a login, or by tacit import-queries. Nothing was read."
        )


def _parse(source: str) -> re.Match[str]:
    match = _NAME.fullmatch(source.removeprefix(HUB))
    if match is None:
        raise InputError(f"{source}: name a dataset as hf:OWNER/NAME, hf:OWNER/NAME:CONFIG or hf:OWNER/NAME@SPLIT")
    return match


def _stream(name: str, config: str | None, split: str) -> Iterator[Record]:
    import datasets  # noqa: PLC0415 - heavy, and only for this kind of source

    try:
        rows = datasets.load_dataset(name, config, split=split, streaming=True)
        for number, values in enumerate(rows, 1):
            yield check_row(number, dict(values))
    except Exception as error:  # the library raises what its backends raise
        raise InputError(f"the dataset {name} (split {split}) can't be read: {_say(error)}") from error


def _say(error: Exception) -> str:
    """What is wrong, by the kind of what the library raised: its words name files of this machine and its own calls."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "DatasetNotFoundError" in kinds:
        return "the Hub has none of that name, or it is private"
    if kinds & {"ConnectionError", "HfHubHTTPError", "OfflineModeIsEnabled", "TimeoutError", "HTTPError"}:
        return "the Hub can't be reached"
    if kinds & {"ValueError", "LookupError", "BuilderConfigNotFoundError"}:
        return "it has no such configuration or split"
    if "FileNotFoundError" in kinds:
        return "there is no data in it"
    return "it is damaged, or needs more than data can give"
