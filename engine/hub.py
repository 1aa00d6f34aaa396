"""Rows of a dataset on the Hugging Face Hub, streamed. https://huggingface.co/docs/datasets/stream"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from engine.errors import InputError
from engine.places import check
from engine.records import Record, check_row, read_records

HUB = "hf:"
_NAME = re.compile(r"(?P<name>[\w.\-/~]+?)(?::(?P<config>[\w.\-]+))?(?:@(?P<split>[\w.\-\[\]%:]+))?")


def open_records(source: str | Path) -> Iterator[Record]:
    """Rows of a file, or of a Hub dataset named `hf:OWNER/NAME[:CONFIG][@SPLIT]` (split train where none is given).

    Raises:
        InputError: if there is no such file or dataset, or a folder is named where none may be.
    """
    if isinstance(source, Path) or not source.startswith(HUB):
        return read_records(Path(source))
    match = _parse(source)
    name = match["name"]
    check(name if "/" in name else f"./{name}")  # without an owner the library takes it for a way to read files here
    return _stream(name, match["config"], match["split"] or "train")


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
