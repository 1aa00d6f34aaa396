"""The page of runs, served for real and asked over HTTP."""

from __future__ import annotations

import urllib.request
from pathlib import Path

from app.main import build_app
from app.services import open_services
from engine.config import Plan, ProjectConfig, SelectionConfig, Step
from engine.types import ReportRow, RunStatus
from storage.runs import Run
from storage.selections import StoredSelection


def test_the_page_serves_and_shows_runs_with_their_reports(workspace: Path) -> None:
    with open_services(workspace) as services:
        context = services.context
        project = services.data.create_project(ProjectConfig(name="shown", task="custom"))
        context.selections.add(StoredSelection("sel", project.id, SelectionConfig(), "f", {"kept": 0}), [])
        plan = Plan(name="twt", steps=(Step(kind="evaluate", name="vanilla"),))
        context.runs.add(Run("r" * 24, project.id, "sel", plan, str(workspace), RunStatus.FINISHED, "<b>done</b>"))
        context.reports.put("r" * 24, [ReportRow("vanilla", "all", 4, 0.5, 0.15, 0.85, 1.0, 12.0, 20.0)], [])
        app = build_app(services)
        try:
            _, url, _ = app.launch(prevent_thread_lock=True, quiet=True, run_history=False, server_name="127.0.0.1")
            page = urllib.request.urlopen(url, timeout=10)
            assert page.status == 200 and b"Tacit" in page.read()
            list_runs, show = (app.fns[number].fn for number in sorted(app.fns))
            assert list_runs is not None and show is not None
            listed, _ = list_runs()
            choices = listed.choices
            assert choices == [("shown · twt · finished · rrrrrrrr", "r" * 24)]
            state, steps, report, kinds = show("r" * 24)
            assert state == "finished; <b>done</b>"
            assert steps["value"]["data"][0][:3] == ["vanilla", "evaluate", "queued"]
            assert report["value"]["data"][0][:4] == ["vanilla", "4", "0.50", "0.15-0.85"]
            assert not kinds["visible"] and not show(None)[1]["visible"]
        finally:
            app.close()
