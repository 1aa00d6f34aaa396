"""Files that a person takes along: made in a folder of the server, and saved by the browser once they are there."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from engine.values import hash_id

_KEPT_S = 6 * 3600
"""How long a download stays on this disk."""
_SAVE = """(file) => {
  if (!file || !file.url) return;
  const link = document.createElement('a');
  link.href = file.url; link.download = file.orig_name || '';
  document.body.append(link); link.click(); link.remove();
}"""
"""Saves what a file component holds."""


@dataclass(frozen=True)
class Downloads:
    """Folders of what was made for a download, for as long as the server runs."""

    made: tempfile.TemporaryDirectory[str] = field(default_factory=tempfile.TemporaryDirectory)

    def folder(self, *key: object) -> Path:
        """The folder of one download: asking for the same thing again fills the same folder. Old ones go."""
        root = Path(self.made.name)
        for folder in root.iterdir():
            with suppress(OSError):
                if time.time() - folder.stat().st_mtime > _KEPT_S:
                    shutil.rmtree(folder, ignore_errors=True)
        made = root / hash_id("download", *key)
        made.mkdir(exist_ok=True)
        os.utime(made)
        return made


def lay_file() -> gr.File:
    """Holds what is saved next; nobody sees it, also where a column around it is shown that was hidden before."""
    return gr.File(visible="hidden", interactive=False, elem_classes="unseen")


def save_after(event: Any, file: gr.File) -> None:
    """Let the browser save the file once an event that makes it has succeeded."""
    event.success(None, file, None, js=_SAVE)


def file_name(*parts: str) -> str:
    """A name for a file that any system takes."""
    return "-".join(re.sub(r"[^A-Za-z0-9._]+", "-", part).strip("-.")[:60] or "tacit" for part in parts)
