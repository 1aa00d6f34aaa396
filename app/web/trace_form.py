"""What the import of traces is asked with: files, and how they are taken in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.config import Config, read_config
from engine.errors import InputError
from engine.traces import FORMATS
from engine.traces.settings import TraceOrder

PERSONAL = [("Mask it", "mask"), ("Leave those traces out", "drop"), ("Keep it as it is", "keep")]
LABELS = [("The whole reply", "reply"), ("What the task reads in it", "read")]
SYSTEMS = [("In front of the query", "text"), ("Apart from it", "apart")]
_DEFAULTS = TraceOrder()


def formats() -> list[tuple[str, str]]:
    """The formats as they are offered."""
    return [("Recognise by content", ""), *((FORMATS[name].title, name) for name in FORMATS)]


class GivenTraces(Config):
    """Files of traces, and how they are to be taken in."""

    files: tuple[str, ...] = ()
    order: TraceOrder = _DEFAULTS

    @property
    def paths(self) -> list[Path]:
        """The files.

        Raises:
            InputError: if there is none.
        """
        if not self.files:
            raise InputError("Drop a file of traces first.")
        return [Path(file) for file in self.files]

    def command(self, project: str) -> list[str]:
        """The command that imports the same."""
        words = ["tacit", "import-traces", project, *(path.name for path in self.paths)]
        for name, default in _DEFAULTS:
            value = getattr(self.order, name)
            words += [f"--{name}", f"{value:g}" if isinstance(value, float) else str(value)] if value != default else []
        return words


def read_traces_given(named: dict[str, Any]) -> GivenTraces:
    """What the fields stand for.

    Raises:
        ConfigError: if one is wrong.
    """
    files = named.pop("files") or []
    named["teacher"] = (named["teacher"] or "").strip()
    order = {name: value for name, value in named.items() if value is not None}
    return read_config(GivenTraces, {"files": [files] if isinstance(files, str) else list(files), "order": order})
