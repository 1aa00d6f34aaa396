"""The hosted demo offers what it allows, and keeps the key of a visitor's copy to the visitor."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from app.hosted_demo.shipped_project import NAME
from app.hosted_demo.visitors import Visitors
from app.services import Services
from app.web.frame import LEFT_OUT
from app.web.main import build_app, build_demo
from app.web.offers import OF_COPY
from app.web.parts.picking import bulk_html, pick_all_html, pick_html
from app.web.server import launch_lean, launch_options
from app.web.theme import CSS
from tests.app.forms import enter_order
from tests.app.test_hosted import ORDER, project_of

GATEWAY = ("gateways", "start")


@pytest.fixture
def services(shipped: Services) -> Services:
    return shipped


@pytest.fixture
def visitors(services: Services) -> Visitors:
    made = Visitors(services)
    made.prepare()
    return made


def ways(app: gr.Blocks) -> Iterator[tuple[tuple[str, str], list[Any]]]:
    """Of every guarded handler that something leads to: where it is written, and each such component with its frame."""
    for event in app.fns.values():
        for id_, name in event.targets:
            if name == "apply":  # sent by boxes and buttons inside a list, which are marked themselves
                continue
            if id_ is not None and hasattr(event.fn, "__wrapped__") and not hasattr(event.fn, "only_guides"):
                line = [app.blocks[id_]]
                while line[-1].parent is not None:
                    line.append(line[-1].parent)
                yield (event.fn.__module__.rpartition(".")[2], event.fn.__name__), line


def test_what_is_refused_is_not_offered(services: Services, visitors: Visitors) -> None:
    found = {"everywhere": 0, "in a copy": 0, "nowhere": 0}
    led = list(ways(build_demo(services, visitors)))
    assert GATEWAY not in dict(led), "it would be a server of the operator's"
    for place, line in led:
        offer = visitors.offers(*place)
        shown = all(block.visible for block in line)
        marked = any(OF_COPY in (getattr(block, "elem_classes", None) or ()) for block in line)
        assert (marked, shown) == {
            "everywhere": (False, shown),
            "in a copy": (True, shown),
            "nowhere": (marked, False),
        }[offer]
        found[offer] += 1
    assert min(found.values()) > 5, found
    assert OF_COPY in CSS and ".notice.shared" in CSS and "shared" in visitors.note("", visitors.find(None), "Data")
    assert visitors.note("", visitors.find(visitors.copy("a")), "Data") == ""


def test_boxes_of_a_list_and_what_is_done_with_them_are_marked() -> None:
    for html in (bulk_html([("keep", "Keep")]), pick_all_html(), pick_html({"id": "a"}, "a")):
        assert OF_COPY in html.split(">")[0]


def test_of_what_is_left_out_neither_fields_nor_empty_frames_are_shown(services: Services, visitors: Visitors) -> None:
    app = build_demo(services, visitors)

    def is_shown(block: Any) -> bool:
        return bool(block.visible) and (block.parent is None or is_shown(block.parent))

    labels = {str(block.label) for block in app.blocks.values() if getattr(block, "label", None) and is_shown(block)}
    assert labels >= {"Prompt", "Stage", "Device price ($/h)", "Runs to compare", "Plan"}
    for label in ("Key", "Base URL", "Model", "File", "Repository", "LoRA rank", "Batch size"):
        assert label not in labels
    assert not any("outputs" in label or "Token" in label or "Epochs per stage" in label for label in labels)
    told = [block for block in app.blocks.values() if getattr(block, "value", None) == LEFT_OUT]
    assert {block.page for block in told} == {"data", "teachers", "exports"}


def test_on_ones_own_machine_nothing_is_withheld(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    def looks(app: gr.Blocks) -> list[tuple[Any, ...]]:
        names = ("visible", "interactive", "elem_classes")
        return [(type(block), *(getattr(block, name, None) for name in names)) for block in app.blocks.values()]

    app = build_app(services)
    monkeypatch.setattr("app.web.frame.withhold", lambda *_: False)
    assert looks(build_app(services)) == looks(app) and GATEWAY in dict(ways(app))
    found = [block for block in app.blocks.values() if getattr(block, "label", "") == "Preset"]
    assert [(block.value, block.interactive) for block in found if block.page == "train"] == [("small-student", True)]


def test_a_training_is_set_to_what_runs_here(services: Services, visitors: Visitors) -> None:
    app = build_demo(services, visitors)
    found = {str(b.label): b for b in app.blocks.values() if b.page == "train" and getattr(b, "label", None)}
    preset, student, plan = found["Preset"], found["Student"], found["Plan"]
    assert [value for _, value in preset.choices] == ["smoke"] and preset.value == "smoke"
    assert student.value == "packaged" and not student.interactive
    mine = visitors.copy("a")
    visitors.check("train", "start", [mine, enter_order(plan.value, preset.value, student.value, *ORDER[3:])])
    name = visitors.resolve(mine)
    run = services.context.runs.all(project_of(visitors, mine).id)[0].id
    assert not visitors.goes_on(name, run) and not visitors.goes_on(NAME, run) and not visitors.goes_on(name, None)


def test_teachers_are_offered_in_a_copy_and_students_on_the_shared_project_too(
    services: Services, visitors: Visitors
) -> None:
    mine, shared = project_of(visitors, visitors.copy("a")), services.context.projects.get(NAME)
    everybody = services.play.systems(shared)
    here = visitors.choose_systems(shared, everybody)
    assert set(everybody) - set(here) == {"forward", "eliminate", "tabulate"}
    assert len(here) == 1 + len(services.export.stages(services.context.runs.all(shared.id)[0]))
    own = services.play.systems(mine)
    assert visitors.choose_systems(mine, own) == own


def test_a_copys_key_stands_on_no_page_in_no_export_and_in_no_file(
    services: Services, visitors: Visitors, caplog: pytest.LogCaptureFixture
) -> None:
    app = build_demo(services, visitors, "undocumented")
    try:
        client = Client(
            launch_lean(app, launch_options("127.0.0.1", 0, None, hosted=True)), verbose=False, ssl_verify=False
        )
        names = {(f.fn.__module__.rpartition(".")[2], f.fn.__name__): f.api_name for f in app.fns.values() if f.fn}
        key = client.predict(NAME, api_name=f"/{names['welcome', 'copy']}")
        for load in [f.api_name for f in app.fns.values() if f.fn and f.fn.__name__ == "load"]:
            first, *shown = client.predict(key, "", api_name=f"/{load}")
            links = re.findall(r"href='[^']*'", str(shown))
            assert first == key and any(key in link for link in links)
            assert key not in re.sub(r"href='[^']*'", "", str(shown)), load
        run = services.context.runs.all(project_of(visitors, key).id)[0].id
        for page in ("exports", "evaluate"):
            client.predict(key, "", None, api_name=f"/{names[page, 'choose']}")
        client.predict(key, run, api_name=f"/{names['exports', 'stages']}")
        cards = client.predict(key, run, "stage3", api_name=f"/{names['exports', 'cards']}")
        assert "data-later" not in cards and "left out of this demo" in cards, "nothing is prepared for strangers"
        report = client.predict(key, run, "", "2", None, None, *[""] * 8, api_name=f"/{names['evaluate', 'report']}")
        assert key not in report and key not in Path(report).read_text("utf-8")
        for what in (["set", "jsonl"], ["student-adapter", "adapter"]):
            said, file = client.predict(key, run, "stage3", *what, api_name=f"/{names['exports', 'take']}")
            assert key not in said and key not in str(file)
            path = Path(file)
            held = path.read_bytes()
            if path.suffix == ".zip":
                with zipfile.ZipFile(path) as parts:
                    held = b"".join(parts.read(part) for part in parts.namelist())
            assert len(held) > 1000 and key.encode() not in held
        with pytest.raises(AppError) as told:
            client.predict(key, "?open=no+such+query", "", "", api_name=f"/{names['decide', 'pick']}")
        assert key not in str(told.value) and "your copy" in str(told.value)
    finally:
        app.close()
    services.context.db.rows("CHECKPOINT")
    stored = b"".join(path.read_bytes() for path in services.context.workspace.rglob("*") if path.is_file())
    assert b"your copy" in stored and key.encode() not in stored and key not in caplog.text
