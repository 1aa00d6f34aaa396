"""Which tables were written to, and when: what was remembered of others is still right."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable

_WORD = re.compile(r"[a-z_][a-z_0-9]*", re.IGNORECASE)
_NAMED = re.compile(r"\bAS\s+[a-z_][a-z_0-9]*", re.IGNORECASE)
"""A column's or a table's other name, which may be that of a table too."""
_TARGET = re.compile(r"(?:INSERT(?: OR REPLACE)? INTO|UPDATE|DELETE FROM)\s+\"?([a-z_][a-z_0-9]*)", re.IGNORECASE)


class Changes:
    """Writes by number, from 1; safe to use from several threads."""

    def __init__(self) -> None:
        self.number = 0
        self._tables: frozenset[str] = frozenset()
        self._newest: dict[str, int] = {}
        self._all = 0
        self._lock = threading.Lock()

    def learn(self, tables: Iterable[str]) -> None:
        """Know which tables there are."""
        self._tables = frozenset(tables)

    def find_tables(self, sql: str) -> frozenset[str]:
        """The tables whose names stand in a statement, each that it reads and maybe more; none where it names none."""
        return self._tables.intersection(_WORD.findall(_NAMED.sub("", sql)))

    def add(self, statements: Iterable[str]) -> None:
        """A transaction with these statements, which is over; one of another kind may have changed everything."""
        with self._lock:
            self.number += 1
            for statement in statements:
                target = _TARGET.match(statement)
                if target is None or target[1] not in self._tables:
                    self._all = self.number
                else:
                    self._newest[target[1]] = self.number

    def newest(self, tables: frozenset[str]) -> int:
        """The number of the newest write to some tables, or (none named) to any."""
        if not tables:
            return self.number
        return max(self._all, *(self._newest.get(table, 0) for table in tables))
