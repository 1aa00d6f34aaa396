"""A labelled and embedded project, made once and copied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.demo import make_puzzles
from app.hosted_demo.shipped_project import bring_demo
from app.recipe import FAST
from app.services import Services, open_services
from app.usecases.labelling.label import LabelOrder
from engine.config import ProjectConfig
from engine.errors import StateError
from engine.selection.settings import SelectionConfig
from engine.values import Split, make_query
from tests.fakes.student_worker import StudentBackend


@pytest.fixture(scope="session")
def embedded_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Project `p`: 18 puzzles answered by the three scripted teachers, embedded and selected once."""
    folder = tmp_path_factory.mktemp("embedded") / "workspace"
    folder.mkdir()
    with open_services(folder) as opened:
        project = opened.data.create_project(ProjectConfig(name="p", task="custom", embedder="packaged"))
        train, _ = make_puzzles(FAST)
        opened.data.add_queries(project.id, [make_query(p.text, kind=p.kind) for p in train[:18]], {})
        opened.label.add_scripted_teachers(project.id)
        opened.context.wait(opened.label.start("p", LabelOrder()).id)
        with pytest.raises(StateError, match="no vector yet"):
            opened.select.preview("p", SelectionConfig())
        opened.select.select("p", SelectionConfig())
    return folder


@pytest.fixture(scope="session")
def shipped_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace that holds the shipped demo project, to be copied."""
    folder = tmp_path_factory.mktemp("shipped") / "workspace"
    folder.mkdir()
    with open_services(folder) as opened:
        assert bring_demo(opened)
    return folder


@pytest.fixture
def shipped(shipped_workspace: Path, tmp_path: Path) -> Iterator[Services]:
    """The services over a copy of that; students are trained by a stand-in."""
    shutil.copytree(shipped_workspace, tmp_path / "shipped")
    with open_services(tmp_path / "shipped", StudentBackend()) as opened:
        yield opened


@pytest.fixture
def selected(embedded_workspace: Path, tmp_path: Path) -> Iterator[Services]:
    """The services over a copy of that project."""
    shutil.copytree(embedded_workspace, tmp_path / "copy")
    with open_services(tmp_path / "copy") as opened:
        yield opened


@pytest.fixture
def students(embedded_workspace: Path, tmp_path: Path) -> Iterator[Services]:
    """The same with three held-out queries; students are trained by a stand-in."""
    shutil.copytree(embedded_workspace, tmp_path / "copy")
    with open_services(tmp_path / "copy", StudentBackend()) as opened:
        queries = [make_query(f"What is {n} and one?", split=Split.HELDOUT) for n in range(3)]
        opened.data.add_queries(opened.projects.get("p").id, queries, {q.id: "1" for q in queries})
        yield opened
