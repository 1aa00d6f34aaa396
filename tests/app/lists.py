"""What lists offer besides looking, called as their pages call it: files of all rows, and actions on chosen ones."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from app.web.pages.jobs import _Handlers
from tests.app.studio import Studio

Table = list[dict[str, str]]


def save(studio: Studio, module: str, name: str, *asked: Any) -> Table:
    """The file that a list is saved as, a row a line."""
    path = Path(studio(module, name, *asked))
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def saves_queries_and_selection(studio: Studio) -> None:
    """All that a search and a filter find, in their order, however many stand on a page."""
    total = studio.services.queries.totals("p").total
    rows = save(studio, "queries", "save_list", "p", "?sort=-text")
    texts = [row["question"] for row in rows]
    assert len(rows) == total and texts == sorted(texts, reverse=True)
    assert save(studio, "queries", "save_list", "p", "?show=heldout") == []
    found = studio.services.browse.page("p", sort="-kept")
    listed = save(studio, "decide", "save_list", "p", "?sort=-kept")
    assert [row["query id"] for row in listed] == [row["id"] for row in found.rows] and len(listed) == found.total
    assert [int(row["kept"]) for row in listed] == [row["kept"] for row in found.rows]
    assert listed[0]["labels"] == "; ".join(found.rows[0]["answers"])
    word = found.rows[0]["query"].split()[0]
    some = save(studio, "decide", "save_list", "p", f"?q={word}")
    assert {row["query id"] for row in some} == {r["id"] for r in studio.services.browse.page("p", word).rows}


def saves_failures(studio: Studio) -> None:
    """Of the kind that the address asks for, in words, with the reply."""
    (row,) = save(studio, "failed_replies", "save_failures", "tickets", "?show=unparsable/ann")
    assert row["query"] == "query 5?" and row["kind"] == "Could not be parsed" and row["reply"]


def decides_on_chosen_queries_and_saves(studio: Studio) -> None:
    """All samples of some queries at once, one undo for all; nothing where nothing known is chosen."""
    ids = [row["id"] for row in studio.services.browse.page("p").rows[:3]]
    before = [studio.services.browse.detail("p", one).samples for one in ids]
    samples = sum(map(len, before))
    said = studio("decide", "decide_chosen", "p", "drop", json.dumps(ids))
    assert f"Dropped {samples} samples of 3 queries" in said and "data-act='undo'" in said
    dropped = [row["reason"] for one in ids for row in studio.services.browse.detail("p", one).samples]
    assert set(dropped) == {"dropped_by_hand"}
    assert f"Undone: drop of {samples} samples" in studio("decide", "decide_chosen", "p", "undo", "[]")
    assert [studio.services.browse.detail("p", one).samples for one in ids] == before
    for nonsense in ("[]", "no json", '["nobody"]', '{"a": 1}'):
        assert "Nothing was decided" in studio.refused("decide", "decide_chosen", "p", "keep", nonsense)
    saves_queries_and_selection(studio)


def approves_chosen_rationales(studio: Studio, run: str) -> None:
    """As they were listed: what has changed since is left, and the toast takes back what it approved."""
    rows = studio.services.review.rows(run)
    waiting = [row for row in rows if not row["approved"]][:3]
    chosen = [f"{row['sample']} {row['version']}" for row in waiting]
    studio.services.review.edit(run, waiting[2]["sample"], waiting[2]["compressed"] + " Or so.")
    studio.services.review.withdraw(run, waiting[2]["sample"])

    def act(action: str, ids: list[str]) -> str:
        return str(studio("compress", "act_on_chosen", "p", "", "{}", run, "", action, json.dumps(ids))[0])

    said = act("approve", chosen)
    assert "Approved 2 rationales. 1 of 3 had been approved already, or changed since" in said
    done = json.loads(re.findall(r"data-ids='([^']*)'", said)[0].replace("&quot;", '"'))
    assert done == [row["sample"] for row in waiting[:2]]
    assert [studio.services.review.one(run, one)["approved"] for one in done] == [True, True]
    table = save(studio, "compress", "save_list", "p", "?show=approved", run)
    assert len(table) == sum(row["approved"] for row in studio.services.review.rows(run)) and table[0]["original"]
    assert "2 rationales taken back" in act("withdraw", done)
    assert not any(studio.services.review.one(run, one)["approved"] for one in done)
    none = ("p", "", "{}", run, "", "approve", "[]")
    assert "Nothing was approved" in studio.refused("compress", "act_on_chosen", *none)


def saves_runs_and_differences(studio: Studio, run: str) -> None:
    """Runs with their scores; where two differ, with what both wrote."""
    runs = save(studio, "runs", "save_list", "p", "")
    assert runs[0]["run id"] == run and runs[0]["status"] == "finished" and float(runs[0]["score"]) >= 0
    assert len(runs) == len(studio.services.reading.runs_of(studio.services.context.projects.get("p").id))
    differ = save(studio, "differences", "save_list", "p", "", run, "stage3", "forward")
    listed = studio("differences", "show_page", "p", "", run, "stage3", "forward")[0]
    assert len(differ) == listed.count("<tr data-open") and {"stage3: reply", "forward: right"} <= differ[0].keys()
    assert "Choose two" in studio.refused("differences", "save_list", "p", "", run, None, "forward")


def cancels_chosen_jobs(studio: Studio) -> None:
    """Those that run or wait are asked to stop; a list of jobs tells what each came to."""
    jobs = save(studio, "jobs", "save_list", "p", "", "all")
    assert len(jobs) == studio.services.jobs.counts().total and {"Training", "Labelling"} <= {j["job"] for j in jobs}
    over = jobs[0]["job id"]
    assert "Nothing was cancelled" in studio.refused("jobs", "cancel_chosen", "p", "cancel", json.dumps([over]))
    asked: list[str] = []
    standing = {over: "finished", "first": "running", "second": "queued"}
    services = SimpleNamespace(
        jobs=SimpleNamespace(one=lambda id_: {"status": standing[id_]}), keep=SimpleNamespace(cancel=asked.append)
    )
    said, _ = _Handlers(services).cancel_chosen("p", "cancel", json.dumps(list(standing)))  # type: ignore[arg-type]
    assert asked == ["first", "second"] and "2 jobs asked to stop" in said
