"""What can be done stands where it is done: in a job's row, under a form; a log lies open where a job failed."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from app.web.pages.home import _say_new
from app.web.pages.jobs import _line, _record_html


def job(status: str, **more: Any) -> dict[str, Any]:
    row = {
        "id": "a" * 24,
        "kind": "student",
        "project": "<p>",
        "status": status,
        "run_id": None,
        "message": "",
        "log": "x",
    }
    return {**row, "started": datetime(2026, 1, 1, tzinfo=UTC), "seconds": 3.0, "cost": Decimal(0), **more}


@pytest.mark.parametrize(("status", "can_cancel"), [("running", True), ("queued", True), ("finished", False)])
def test_a_row_opens_its_page_and_cancels_what_is_not_over(status: str, can_cancel: bool) -> None:
    acts = _line(job(status))["acts"].html

    assert ("data-act-row='cancel'" in acts) is can_cancel
    assert "Open Train" in acts and "<p>" not in acts
    assert "Open" not in _line(job(status, project=None))["acts"].html


def test_the_log_lies_open_where_a_job_failed() -> None:
    assert "<details class='more' open>" in _record_html(job("failed"))
    assert "<details class='more'>" in _record_html(job("finished"))


def test_the_form_of_a_project_shows_the_command_once_it_has_a_name() -> None:
    assert _say_new(" ", "choice", "auto") == ""
    assert "tacit import-queries tickets queries.csv --task choice<" in _say_new("tickets", "choice", "auto")
    assert "&#x27;my tickets&#x27; queries.csv --task math --embedder packaged" in _say_new(
        "my tickets", "math", "packaged"
    )
