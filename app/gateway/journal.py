"""Journals of a gateway: JSON lines, appended, each a file of its own again when it has grown."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import IO, Any

from app.usecases.serving.folder import journal_files
from engine.errors import WorkspaceBusy
from engine.jobs.folder_lock import take_folder

MOST_BYTES = 4_000_000
_LOG = logging.getLogger(__name__)


class Journal:
    """One journal, written by one process. What was written reaches the operating system before `write` returns.

    A full disk does not end the service: what can't be written is counted, and told once.
    """

    def __init__(self, folder: Path, stem: str, most_bytes: int = MOST_BYTES) -> None:
        self._folder, self._stem, self._most = folder, stem, most_bytes
        self.lost = 0
        self._file = self._open()

    @property
    def path(self) -> Path:
        """The file that is written."""
        return self._folder / f"{self._stem}.jsonl"

    def _open(self) -> IO[bytes]:
        file = self.path.open("ab", buffering=0)
        self._size = file.tell()
        if self._size and not _ends_whole(self.path):
            self._size += file.write(b"\n")  # behind a line that a killed process left torn
        return file

    def write(self, record: dict[str, Any]) -> None:
        """Append one value."""
        line = json.dumps(record, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        try:
            if self._size and self._size + len(line) > self._most:
                self._rotate()
            written = self._file.write(line)
            self._size += written
            if written != len(line):
                self._size += self._file.write(b"\n")
                raise OSError("only a part of a line could be written")
        except OSError as error:
            self.lost += 1
            if self.lost == 1:
                _LOG.error("%s can't be written (%s); further lines that are lost are not logged", self.path, error)

    def _rotate(self) -> None:
        older = [path for path in journal_files(self._folder, self._stem) if path != self.path]
        number = int(older[-1].stem[len(self._stem) + 1 :]) + 1 if older else 1
        self._file.close()
        self.path.rename(self._folder / f"{self._stem}-{number:06d}.jsonl")
        self._file = self._open()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


class FolderLock:
    """Holds a gateway's folder for this process: two would number each other's files away."""

    def __init__(self, folder: Path) -> None:
        """Take it.

        Raises:
            WorkspaceBusy: if another gateway has it.
        """
        folder.mkdir(parents=True, exist_ok=True)
        file = take_folder(folder)
        if file is None:
            raise WorkspaceBusy(
                f"another gateway named {folder.name!r} runs in this workspace: stop it, or give this one a --name"
            )
        self._file = file

    def release(self) -> None:
        """Give it back."""
        self._file.close()
