"""What the name of a model or a dataset may mean: a folder of this machine too only where its own user gives it.

Libraries that load models and datasets take the path of a folder for a name. Where others than this machine's user give
names (behind a login, in the hosted demo), `restrict` holds for the process and, by its environment, for all workers
that it starts. `check` is asked where the work of a worker is written and where it is read, and by whatever looks into
the files that a name means.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel

from engine.errors import ConfigError

VARIABLE = "TACIT_FOLDERS"
"""Folders, with the system's separator between, below which names may mean a folder all the same; not set: anywhere."""
_ON_HUB = re.compile(r"\w[\w.\-]*(/\w[\w.\-]*)?")


@dataclass(frozen=True)
class _NamesModel:
    """Marks a field that names a model."""


ModelName = Annotated[str, _NamesModel()]
"""A field with the name of a model that a person gave: one of the Hub, one that is packaged, or a folder."""


def restrict() -> None:
    """From now on others name models and datasets: folders only below those that the operator listed."""
    os.environ.setdefault(VARIABLE, "")


def has_folders() -> bool:
    """Whether any folder may be named here."""
    return os.environ.get(VARIABLE) != ""


def is_open(name: str) -> bool:
    """Whether a name may be looked for: it means no folder, or one that may be read here."""
    listed = os.environ.get(VARIABLE)
    if listed is None or not name or (_ON_HUB.fullmatch(name) and not Path(name).exists()):
        return True
    try:
        meant = Path(name).resolve()
        return any(meant.is_relative_to(Path(root).resolve()) for root in listed.split(os.pathsep) if root.strip())
    except (OSError, ValueError, RuntimeError):  # no path at all, or one that leads in a circle
        return False


def check(name: str) -> None:
    """Refuse a name that may mean a folder where none may be named; whether there is one is not told.

    Raises:
        ConfigError: if it may.
    """
    if not is_open(name):
        raise ConfigError(
            f"{name[:200]!r}: here models and datasets are named as on the Hub, as OWNER/NAME, or packaged. Folders of "
            f"the server are for a studio without a login, or for its operator to list in {VARIABLE}. Nothing was read."
        )


def check_names(settings: Any) -> None:
    """`check` of all names of models that settings hold, however deep.

    Raises:
        ConfigError: as `check`.
    """
    for name in _find_names(settings):
        check(name)


def _find_names(value: Any) -> Iterator[str]:
    if isinstance(value, BaseModel):
        for field, info in type(value).model_fields.items():
            item = getattr(value, field)
            if isinstance(item, str) and any(isinstance(mark, _NamesModel) for mark in info.metadata):
                yield item
            else:
                yield from _find_names(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _find_names(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _find_names(item)
