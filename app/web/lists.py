"""What every long list offers besides looking: its rows as a file, and actions on those that are chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from app.usecases.workspace.sheets import Sheet, write_sheet
from app.web.downloads import Downloads, file_name, lay_file, save_after
from app.web.frame import Frame


def offer_csv(frame: Frame, listed: gr.HTML, work: Callable[..., str], inputs: Sequence[Any] = ()) -> None:
    """Let the listing's Download CSV save what `work` writes, given the project, the address and the inputs."""
    file = lay_file()
    asked = [frame.project, frame.address, *inputs]
    made = listed.download(frame.guard(work), asked, file, show_progress="hidden", **frame.quiet)
    save_after(made, file)


def write_list(downloads: Downloads, sheet: Sheet, project: str, name: str, *asked: object) -> str:
    """Write the rows that are `asked` for into a file for the browser; returns its path."""
    path = downloads.folder(project, name, *asked) / f"{file_name(project, name)}.csv"
    write_sheet(sheet, path)
    return str(path)


def lay_sent() -> list[gr.Textbox]:
    """Hold what the boxes of a listing send: an action, and ids that `read_ids` reads; the last inputs of `apply`."""
    return [gr.Textbox("", visible=False), gr.Textbox("[]", visible=False)]
