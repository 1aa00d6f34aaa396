"""Buttons that can't work are disabled, and can be pressed once they can."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from app.services import Services, open_services
from engine.config import ProjectConfig
from engine.errors import ConfigError
from engine.plans import Plan
from engine.plans.order import PlanOrder
from engine.values import RunStatus, TeacherSpec
from storage.runs import Run
from tests.app.forms import order_form, send_settings
from tests.app.studio import PAGES, Studio, open_studio

ORDER = dict.fromkeys(order_form().parts, "") | {
    "plan": "twt",
    "preset": "smoke",
    "student": "packaged",
    "compressor": "- its own teacher -",
    "review": False,
    "check_level": 1,
    "compress_by": "teacher-guided",
    "loss": "likelihood",
    "backend": "local",
    "four_bit": False,
}


@dataclass
class Screen:
    """A page as a browser holds it: which of its buttons, by label, can be pressed after what the server said."""

    studio: Studio
    page: str
    on: dict[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.path = "" if self.page == "home" else self.page
        for block in self.studio.app.blocks.values():
            if isinstance(block, gr.Button) and block.page == self.path:
                self.on[block.value] = block.interactive is not False

    def run(self, module: str, name: str, *values: Any) -> list[Any]:
        """Call a handler of the page, take in what it says of buttons, and give what it returned."""
        (event,) = [
            fn
            for fn in self.studio.app.fns.values()
            if fn.page == self.path
            and fn.fn is not None
            and (fn.fn.__module__.rpartition(".")[2], fn.fn.__name__) == (module, name)
        ][:1]
        found = event.fn(*values)
        given = list(found) if len(event.outputs) > 1 else [found]
        for part, value in zip(event.outputs, given, strict=True):
            if isinstance(part, gr.Button) and isinstance(value, gr.Button):
                self.on[part.value] = bool(value.interactive)
        return given

    def open(self, project: str) -> None:
        self.run("frame", "load", project)


@pytest.fixture(scope="module")
def studio(embedded_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    folder = tmp_path_factory.mktemp("buttons") / "workspace"
    shutil.copytree(embedded_workspace, folder)
    with open_studio(folder) as opened:
        opened.services.data.create_project(ProjectConfig(name="bare", task="custom"))
        yield opened


def plan(services: Services) -> Plan:
    return services.plan.make("p", PlanOrder(preset="smoke"))


def put_run(services: Services, folder: Path, status: RunStatus) -> Run:
    """A run of project `p` in some status, that nobody works on."""
    selection = services.context.selections.latest(services.context.projects.get("p").id)
    run = Run(f"run-{time.time_ns()}", selection.project_id, selection.id, plan(services), str(folder), status, "")
    services.context.runs.add(run)
    return run


@pytest.mark.parametrize("page", PAGES)
def test_nothing_can_be_pressed_in_a_bare_project_that_must_fail(studio: Studio, page: str) -> None:
    screen = Screen(studio, page)
    screen.open("bare")
    must_fail = {
        "data": {"Preview", "Import valid rows", "Find near duplicates"},
        "select": {
            *("Select", "Redraw", "Fit to gold labels", "Keep all", "Drop all"),
            *("Save edit", "Edit", "Keep", "Drop", "Swap", "Undo"),
        },
        "train": {"Forecast", "Start training", "Cancel", "Resume", "Rerun from this step"},
        "evaluate": {"Score again", "Download report"},
        "teachers": {"Save as a new version", "Import outputs"},
        "label": {"Start labelling", "Run a pilot of 50", "Pause", "Retry failed", "Re-parse replies"},
        "compress": {"Continue with what is approved", "Take approval back", "Ask again", "Restore"},
    }.get(page, set())
    assert {name for name in must_fail if screen.on[name]} == set()


def test_a_file_or_a_dataset_can_be_looked_at(studio: Studio) -> None:
    screen = Screen(studio, "data")
    screen.open("p")
    assert screen.on["Find near duplicates"] and not screen.on["Preview"]
    screen.run("data", "can_look", "p", None, "hf:owner/name")
    assert screen.on["Preview"]
    screen.run("data", "can_look", "p", None, "  ")
    assert not screen.on["Preview"]


def test_select_goes_by_the_samples_and_by_what_is_typed(studio: Studio) -> None:
    screen = Screen(studio, "select")
    screen.open("p")
    assert screen.on["Select"] and screen.on["Redraw"]
    screen.run("select", "numbers", "p", *send_settings(threshold=None))
    assert not screen.on["Select"] and not screen.on["Redraw"]
    screen.run("select", "numbers", "p", *send_settings())
    assert screen.on["Select"] and screen.on["Redraw"]


def test_decisions_go_by_the_open_query_and_undo_by_what_was_decided(studio: Studio) -> None:
    screen, services = Screen(studio, "select"), studio.services
    screen.open("p")
    assert not screen.on["Keep"] and not screen.on["Undo"]
    show = ("decide", "show_page", "p", "?project=p", "", "", "")
    chosen = screen.run(*show)[4]
    assert all(screen.on[name] for name in ("Keep", "Drop", "Edit", "Save edit", "Keep all", "Drop all"))
    kept = [str(row["reason"]).startswith("kept") for row in _samples(services, chosen)]
    assert screen.on["Swap"] is (any(kept) and not all(kept))
    screen.run("decide", "drop", "p", "", chosen)
    screen.run(*show)
    assert screen.on["Undo"]
    screen.run("decide", "undo", "p")
    screen.run(*show)
    assert not screen.on["Undo"]
    screen.run("decide", "show_page", "p", "?q=no+query+holds+this", "", "", "")
    assert not screen.on["Keep all"] and not screen.on["Keep"]


def _samples(services: Services, sample_id: str) -> list[dict[str, Any]]:
    return services.browse.detail("p", services.browse.query_of("p", sample_id)[0]).samples


def test_a_training_without_held_out_queries_can_not_be_started(studio: Studio) -> None:
    screen = Screen(studio, "train")
    screen.open("p")
    assert not screen.on["Start training"] and not screen.on["Forecast"]
    drawn = screen.run("train", "plan", "p", *ORDER.values(), "")[0]
    assert "has no held-out queries to evaluate on; import some as held out" in drawn and "--" not in drawn
    assert not screen.on["Start training"]
    assert "/data?project=p" in drawn


@pytest.mark.parametrize(
    ("status", "can"),
    [
        (RunStatus.RUNNING, (True, False, False)),
        (RunStatus.WAITING, (True, False, False)),
        (RunStatus.STOPPED, (False, True, True)),
        (RunStatus.FINISHED, (False, False, True)),
    ],
)
def test_a_run_can_be_cancelled_resumed_and_rerun_by_how_it_stands(
    studio: Studio, status: RunStatus, can: tuple[bool, bool, bool], tmp_path: Path
) -> None:
    run = put_run(studio.services, tmp_path, status)
    screen = Screen(studio, "train")
    screen.run("runs", "can_go_on", "p", run.id)
    screen.run("runs", "follow", "p", run.id)
    assert (screen.on["Cancel"], screen.on["Resume"], screen.on["Rerun from this step"]) == can


def test_a_prompt_is_saved_only_where_it_says_something_new(studio: Studio) -> None:
    screen = Screen(studio, "teachers")
    screen.open("p")
    assert not screen.on["Save as a new version"]
    text = studio.services.prompt.versions("p")[1]
    screen.run("prompts", "can_save", "p", text + "\nMore.")
    assert screen.on["Save as a new version"]
    screen.run("prompts", "can_save", "p", text)
    assert not screen.on["Save as a new version"]


def test_recordings_are_not_asked_again(studio: Studio, tmp_path: Path) -> None:
    projects, compress = studio.services.context.projects, studio.services.compress
    run = put_run(studio.services, tmp_path, RunStatus.FINISHED)
    assert compress.can_ask(run.id, "forward")
    projects.put_teacher(run.project_id, TeacherSpec("old", "recorded", "someone"))
    assert not compress.can_ask(run.id, "old") and not compress.can_ask(run.id, "nobody")


def test_a_batch_that_can_not_be_shared_out_is_refused_before_it_is_queued(
    embedded_workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(embedded_workspace, tmp_path / "copy")
    monkeypatch.setenv("TACIT_DEVICES", "3")
    with open_services(tmp_path / "copy") as services:
        with pytest.raises(ConfigError, match="rows can't be shared equally by 3 processes"):
            services.run.start("p", plan(services))
        assert not services.context.runs.all()
    monkeypatch.setenv("TACIT_DEVICES", "all")
    with pytest.raises(ConfigError, match="give the number of GPUs"), open_services(tmp_path / "copy"):
        pass
