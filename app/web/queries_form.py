"""What the import of queries is asked with: a file or a dataset, what its columns are, and what is held out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from engine.config import Config, read_config
from engine.errors import InputError
from engine.hub import HUB
from engine.tasks import ROLES

NONE = "- none -"
NOTHING, SHARE, FILE = "None", "A share, by hash", "A second file"
HOLD = (NOTHING, SHARE, FILE)
"""Ways to hold queries out, as they are offered."""
_TITLES = {"gold": "Gold label column", "id": "ID column", "original": "Original question column"}


def column_label(role: str) -> str:
    """What the field is called that says which column holds a role."""
    return _TITLES.get(role, f"{role.replace('_', ' ').capitalize()} column")


class Given(Config):
    """What is to be imported: a file or a dataset of the Hub, which column is what, and what is held out.

    `columns` is the mapping that the page shows; empty: nothing was looked at yet, and columns are guessed. `second`
    is a file whose queries are all held out.
    """

    file: str | None = None
    dataset: str = ""
    hold: Literal["None", "A share, by hash", "A second file"] = "None"
    share: float = Field(0.0, ge=0, le=1)
    second: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return not self.file and not self.dataset

    @property
    def held_share(self) -> float:
        """The share of the first file that is held out."""
        return self.share if self.hold == SHARE else 0.0

    @property
    def second_source(self) -> Path | None:
        """The file of held-out queries; None where there is none, or it is not what was chosen."""
        return Path(self.second) if self.hold == FILE and self.second else None

    @property
    def source(self) -> str | Path:
        """What is read.

        Raises:
            InputError: if there is nothing.
        """
        if self.dataset:
            return self.dataset if self.dataset.startswith(HUB) else f"{HUB}{self.dataset}"
        if self.file:
            return Path(self.file)
        raise InputError("Drop a file first, or name a dataset on the Hub.")


def read_given(named: dict[str, Any]) -> Given:
    """What the fields stand for, by their names and the labels of columns.

    Raises:
        ConfigError: if one is wrong.
    """
    names = {role: named.get(column_label(role)) for role in ROLES}
    chosen = any(name and name != NONE for name in names.values())
    columns = {role: "" if name == NONE else name for role, name in names.items() if name} if chosen else {}
    given = {name: named[name] for name in ("file", "hold", "share", "second")}
    return read_config(Given, {**given, "dataset": (named["dataset"] or "").strip(), "columns": columns})
