"""A start without what gradio does for nobody: no interface files, one server."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import gradio as gr
import pytest
from gradio.routes import App

from app.services import open_services
from app.web.main import build_app
from app.web.server import build_beside, launch_lean, launch_options
from engine.errors import StateError

_ROOT = Path(__file__).parents[2]
_COUNTED = """
import ast
parse, parsed = ast.get_source_segment, []
ast.get_source_segment = lambda *given: parsed.append(1) or parse(*given)
{first}
import gradio as gr
class Later(gr.Textbox):
    def once_more(self): ...
print(len(parsed), gr.Textbox().submit is not None)
"""


def interfaces_made(first: str) -> tuple[int, str]:
    """How many classes gradio looked up the source of, in a process that begins so; and whether it works."""
    command = [sys.executable, "-c", _COUNTED.format(first=first)]
    said = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True).stdout.split()
    return int(said[0]), said[1]


def test_gradio_is_imported_without_writing_into_its_installation() -> None:
    made, works = interfaces_made("from app.web.lean_start import import_gradio; import_gradio()")
    by_itself, _ = interfaces_made("")
    assert works == "True"
    assert by_itself > 50
    assert made <= 2  # of the class that was made afterwards, by code that is not gradio's


def test_a_server_is_made_once_when_it_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[gr.Blocks] = []
    create = App.create_app
    monkeypatch.setattr(App, "create_app", lambda blocks, *a, **k: made.append(blocks) or create(blocks, *a, **k))
    with open_services(tmp_path) as services:
        app = build_app(services)
        assert made == []
        try:
            assert launch_lean(app, launch_options("127.0.0.1", 0, None)).startswith("http://127.0.0.1:")
            assert made == [app]
        finally:
            app.close()


def test_the_app_is_built_while_the_workspace_is_prepared() -> None:
    with gr.Blocks() as blocks:
        gr.HTML("")
    order: list[str] = []

    def prepare() -> None:
        time.sleep(0.2)
        order.append("prepared")

    def build() -> gr.Blocks:
        order.append("built")
        return blocks

    assert build_beside(build, prepare) is blocks
    assert order == ["built", "prepared"]


def test_what_stood_in_the_way_of_preparing_is_raised() -> None:
    def prepare() -> None:
        raise StateError("this workspace holds 2 projects of its own")

    with pytest.raises(StateError, match="2 projects of its own"):
        build_beside(gr.Blocks, prepare)
