"""A store that a test begins with is a copy of one that was brought to the current schema once, by the migrations."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest.mock import patch

from storage import db


@contextmanager
def copied_stores(folder: Path) -> Iterator[None]:
    """As long as this lasts, `folder` holding what is copied; tests that bring migrations of their own go without."""
    fresh = folder / "fresh.duckdb"
    db.Database(fresh).close()
    begin, known = db.Database.__init__, db.read_migrations

    def copy(self: db.Database, file: Path) -> None:
        if db.read_migrations is known and "?" not in str(file):
            with suppress(OSError):  # which is told by whoever opens it
                if not file.exists():
                    file.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(fresh, file)
        begin(self, file)

    with patch.object(db.Database, "__init__", copy):
        yield
