"""Names of variants and what stands for each: the one place where a task, a plan, a rule and the like are looked up.

A variant adds itself where it is defined. Variants of other packages are found by entry points of the group
`tacit.KIND` (https://packaging.python.org/en/latest/specifications/entry-points/): the name is the variant's, the
object is the entry itself.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules
from threading import RLock
from typing import Generic, TypeVar

from engine.errors import ConfigError

Entry = TypeVar("Entry")
_LOG = logging.getLogger(__name__)


def import_variants(package: str, path: Iterable[str]) -> None:
    """Import every module of a package, so that the variants among them add themselves: one file is all it takes."""
    for module in iter_modules(path):
        import_module(f"{package}.{module.name}")


class Registry(Generic[Entry]):
    """The variants of one kind, in the order in which they were added."""

    def __init__(self, kind: str, title: str) -> None:
        """`kind` names the group of entry points, `title` the kind in messages, as "plan"."""
        self.kind = kind
        self.title = title
        self._entries: dict[str, Entry] = {}
        self._looked = False
        self._lock = RLock()

    def add(self, name: str, entry: Entry) -> Entry:
        """Add a variant.

        Raises:
            ConfigError: if the name is taken by another one.
        """
        if self._entries.get(name, entry) is not entry:
            raise ConfigError(f"there are two of the name {name!r} among the {self.title}s")
        self._entries[name] = entry
        return entry

    def get(self, name: str) -> Entry:
        """The variant of a name.

        Raises:
            ConfigError: if there is none; the message lists the names there are.
        """
        self._look_outside()
        if name not in self._entries:
            raise ConfigError(f"there is no {self.title} {name!r}; there are {', '.join(self._entries)}")
        return self._entries[name]

    def __getitem__(self, name: str) -> Entry:
        """As `get`."""
        return self.get(name)

    def names(self) -> tuple[str, ...]:
        """All names, the project's own first."""
        self._look_outside()
        return tuple(self._entries)

    def __iter__(self) -> Iterator[str]:
        """All names, as `names`."""
        return iter(self.names())

    def _look_outside(self) -> None:
        with self._lock:
            if self._looked:
                return
            for point in entry_points(group=f"tacit.{self.kind}"):
                try:
                    self.add(point.name, point.load())
                except Exception as error:  # noqa: BLE001 - a broken package must not take the others with it
                    _LOG.warning("the %s %s of %s can't be used: %s", self.title, point.name, point.value, error)
            self._looked = True
