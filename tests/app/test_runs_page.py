"""The runs on the page Train: an operator's day with several of them, their names, and the notice when one ends."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.hosted_demo.policy import Own
from app.services import Services
from app.usecases.training.run_settings import differing_settings
from app.usecases.training.webhook import Webhook, read_webhook
from app.web.main import build_app
from app.web.pages.runs import _Handlers
from app.web.plots_runs import compare_plot, loss_plot, smooth
from engine.errors import ConfigError, InputError
from engine.plans.order import PlanOrder
from engine.plans.titles import title_of
from engine.values import RunStatus
from storage.runs import Run
from tests.fakes.student_worker import StudentBackend
from tests.fakes.waiting import until


class Listener:
    """A server on this machine that notes what is posted to it, and answers as it is told."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.status = 200
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                listener.paths.append(self.path)
                listener.heard.append(json.loads(body))
                self.send_response(listener.status)
                self.send_header("location", "/elsewhere")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?token=geheim"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.server.shutdown()
    made.server.server_close()


def over(services: Services, run: Run) -> Run:
    return services.run.wait_over(run.id)


class Page:
    """The page's own handlers, on a project."""

    def __init__(self, services: Services) -> None:
        class Frame:
            policy = Own(services)

        Frame.services = services  # type: ignore[attr-defined]
        self.do = _Handlers(Frame(), None)  # type: ignore[arg-type]

    def show(self, address: str = "") -> tuple[str, str, str]:
        listed, run, _, shown = self.do.show("p", address)
        return listed, run, shown


def test_an_operators_day(students: Services, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    students.run.webhook.url = listener.url
    page = Page(students)
    plan = students.plan.make("p", PlanOrder(plan="standard-kd", preset="smoke"))
    first = over(students, students.run.start("p", plan, name="as before"))
    until(lambda: len(listener.heard) == 1)
    told = {"run": "as before", "project": "p", "status": "finished", "score": listener.heard[0]["score"]}
    assert listener.heard == [told] and 0 <= told["score"] <= 1, "and nothing else: no key, no path, no text"
    with monkeypatch.context() as broken:
        broken.setattr(StudentBackend, "command", lambda *_: [sys.executable, "-c", "raise SystemExit(3)"])
        bigger = students.plan.make("p", PlanOrder(plan="standard-kd", preset="smoke", rank=16, seed=1))
        second = over(students, students.run.start("p", bigger, note="a wider adapter"))
    assert second.status is RunStatus.STOPPED and second.title == "Run 2"
    until(lambda: len(listener.heard) == 2)
    assert listener.heard[1] == {"run": "Run 2", "project": "p", "status": "failed", "score": None}
    third = over(students, students.run.start("p", plan))
    until(lambda: len(listener.heard) == 3)
    listed, opened, shown = page.show()
    assert opened == third.id and listed.index("Run 3") < listed.index("Run 2") < listed.index("as before")
    assert "Failed" in page.show("?show=stopped")[0] and "as before" not in page.show("?show=stopped")[0]
    listed, opened, shown = page.show(f"?open={second.id}")
    assert opened == second.id and "a wider adapter" in shown and "role='alert'" in shown and "class='failed'" in shown
    students.run.resume(second.id)
    assert over(students, second).status is RunStatus.FINISHED
    until(lambda: len(listener.heard) == 4)
    assert listener.heard[3]["status"] == "finished"
    assert "class='main done'" in page.show(f"?open={second.id}")[2]
    differing = dict(differing_settings([students.reading.find_run(run.id) for run in (first, second)]))
    assert differing == {"LoRA rank": ["8", "16"], "Seed": ["0", "1"]}
    table, plot = page.do.compare("p", [first.id, second.id], 0.5, True)
    assert "LoRA rank" in table and "Epochs" not in table and "as before" in table and plot.visible
    cancelled = students.run.start("p", plan)
    students.run.cancel(cancelled.id)
    over(students, cancelled)
    time.sleep(0.3)
    assert all(message["status"] == "finished" for message in listener.heard[4:]), "who cancels a run knows it"


def test_names_stand_for_runs_everywhere(students: Services) -> None:
    page = Page(students)
    plan = students.plan.make("p", PlanOrder(plan="standard-kd", preset="smoke"))
    run, other = (over(students, students.run.start("p", plan)) for _ in range(2))
    assert (run.title, other.title) == ("Run 1", "Run 2")
    evil = "<script>alert(1)</script>"
    page.do.rename("p", run.id, evil, evil)
    listed, _, shown = page.show(f"?open={run.id}")
    assert "<script>" not in listed + shown and "&lt;script&gt;" in listed
    for name, note, told in (
        (evil.upper(), "", "Another run is named"),
        ("run  7", "", "kept for the run of that number"),
        ("x" * 81, "", "at most 80"),
        ("", "x" * 2001, "2,000"),
    ):
        with pytest.raises(InputError, match=told):
            students.run.rename(other.id, name, note)
    assert students.run.rename(other.id, "  two   words ", " a note ").title == "two words"
    assert students.run.rename(other.id, "RUN 2", "").title == "Run 2", "its number is its own"
    assert [row["name"] for row in students.reading.runs()] == ["Run 2", evil]
    assert students.reading.run(run.id)["note"] == evil
    assert any("Run 2" in name for name in students.play.systems(students.projects.get("p")))
    assert "No run matches" in page.show("?q=nothing like it")[0]
    assert page.show("?open=of-another-time")[1] == other.id


def test_the_webhook_follows_nowhere_and_logs_its_failures_once(
    listener: Listener, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook = Webhook(listener.url)
    listener.status = 302
    for _ in range(2):
        webhook.tell({"run": "a"})
    until(lambda: len(listener.heard) == 2)
    until(lambda: webhook.failed.is_set())
    time.sleep(0.2)
    assert listener.paths == ["/hook?token=geheim"] * 2, "a redirect is not followed"
    assert caplog.text.count("was not told") == 1 and "302" in caplog.text and "geheim" not in caplog.text
    Webhook("").tell({"run": "a"})
    Webhook("http://127.0.0.1:1/geheim")._post({"run": "a"})
    assert caplog.text.count("was not told") == 2 and "geheim" not in caplog.text
    for given in ("ftp://example.org/x", "example.org", "http://", "https://[::1"):
        monkeypatch.setenv("TACIT_WEBHOOK", given)
        with pytest.raises(ConfigError, match="TACIT_WEBHOOK is no web address"):
            read_webhook()
    monkeypatch.setenv("TACIT_WEBHOOK", " https://example.org/hook ")
    assert read_webhook().url == "https://example.org/hook"


def test_smoothing_keeps_the_level_and_names_stand_at_the_ends(students: Services, tmp_path: Path) -> None:
    assert smooth([2.0, 2.0, 2.0], 0.9) == pytest.approx([2.0, 2.0, 2.0]), "no pull to zero at the beginning"
    assert smooth([4.0, 0.0], 0.5) == pytest.approx([4.0, 4 / 3]) and smooth([1.0, 5.0], 0) == [1.0, 5.0]
    plan = students.plan.make("p", PlanOrder(plan="standard-kd", preset="smoke"))
    run = over(students, students.run.start("p", plan))
    curves = students.watch.curves([run.id])["loss"]
    for log in (True, False):
        figure = loss_plot(curves, [], 0.8, log)
        named = " ".join(note.text.replace("<br>", " ") for note in figure.layout.annotations)
        assert len(figure.data) == 2 * len(curves) and all(title_of(curve.step).split()[0] in named for curve in curves)
    assert "Run 1" in compare_plot(curves, {run.id: "Run 1"}, 0.0, False).layout.annotations[0].text
    assert loss_plot([], [], 0.8, True).layout.annotations == ()


def test_the_page_offers_a_notice_in_the_browser(students: Services) -> None:
    shown = [str(getattr(block, "value", "")) for block in build_app(students).blocks.values() if block.page == "train"]
    assert sum("data-notify" in text for text in shown) == 1


def test_what_was_reckoned_of_a_run_before_it_ended_is_not_shown_of_it_later(students: Services) -> None:
    """A page reads the run; it ends; the page goes on with what it read. Nothing is written behind that."""
    plan = students.plan.make("p", PlanOrder(plan="standard-kd", preset="smoke"))
    run = over(students, students.run.start("p", plan))
    students.context.runs.set_status(run.id, RunStatus.RUNNING)
    read_before = students.context.runs.get(run.id)
    students.context.runs.set_status(run.id, RunStatus.STOPPED, "its process is gone")
    students.watch.one(read_before)
    shown = students.watch.page("p", "", "", "", 1).rows[0].run
    assert (shown.id, shown.status, shown.message) == (run.id, RunStatus.STOPPED, "its process is gone")
