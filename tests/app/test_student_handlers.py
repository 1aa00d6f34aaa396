"""Every handler of the second half, called over HTTP as a page does it: one session, step by step through this file."""

from __future__ import annotations

import html
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pyarrow.parquet as pq
import pytest
import yaml
from gradio_client import handle_file

from app.demo import make_puzzles
from app.recipe import FAST
from app.usecases.labelling.label import LabelOrder
from engine.values import Split, make_query
from tests.app import evaluating, exporting, lists, saving
from tests.app.reviewing import SKIPPED, approve_and_undo, read_and_edit
from tests.app.studio import Studio, open_studio
from tests.fakes.hub import TOKEN, Hub, run_hub
from tests.fakes.waiting import until

ORDER: list[Any] = [
    *("twt+standard-kd", "smoke", "packaged", "- its own teacher -", True, 1, "", "", "", "", "", ""),
    *("teacher-guided", "likelihood", "", "local", "", False),
]


@pytest.fixture(scope="module")
def studio(embedded_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    folder = tmp_path_factory.mktemp("students") / "workspace"
    shutil.copytree(embedded_workspace, folder)
    with open_studio(folder) as opened:
        project = opened.services.context.projects.get("p")
        _, held = make_puzzles(FAST)
        golds = {make_query(p.text).id: p.answer for p in held[:6]}
        queries = [make_query(p.text, kind=p.kind, split=Split.HELDOUT) for p in held[:6]]
        opened.services.data.add_queries(project.id, queries, golds)
        opened.services.context.wait(opened.services.label.start("p", LabelOrder(splits=(Split.HELDOUT,))).id)
        yield opened


def run_id(studio: Studio) -> str:
    return studio.services.context.runs.all(studio.services.context.projects.get("p").id)[0].id


def status(studio: Studio) -> str:
    return studio.services.context.runs.get(run_id(studio)).status.value


def test_train(studio: Studio) -> None:
    studio.open("train", "p")
    lacking, drawn, forecast, command = studio("train", "plan", "p", *ORDER, "")[:4]
    assert lacking == "" and "you review" in drawn and "full reasoning" in drawn and forecast == ""
    assert " rows</span>" in drawn, "what is selected tells how many rows the first stage has"
    assert "tacit train p --plan twt+standard-kd --preset smoke --student packaged --review" in html.unescape(command)
    named = studio("train", "command", "p", *ORDER[:7], "2,1,4", "16", *ORDER[9:16], "3", False, "a name")
    assert "--stages 2,1,4 --rank 16 --seed 3 --name 'a name'" in html.unescape(named).replace("--review ", "")
    assert "give three parts" in studio("train", "plan", "p", *ORDER[:7], "1,2", *ORDER[8:], "")[0]
    for place, value, told in (
        (9, "fast", "Learning rate: fast is not allowed"),
        (8, "1.5", "LoRA rank: 1.5 is not allowed; give a whole"),
        (16, "-1", "Seed: -1 is not allowed"),
    ):
        wrong = [*ORDER[:place], value, *ORDER[place + 1 :], ""]
        assert told in html.unescape(studio.refused("train", "start", "p", *wrong))
    assert "Preset: choose one" in studio.refused("train", "start", "p", ORDER[0], None, *ORDER[2:], "")
    wrong = [*ORDER[:7], "1,2@x,3", *ORDER[8:], ""]
    assert "2@x can't be a stage" in html.unescape(studio("train", "plan", "p", *wrong)[0])
    wrong = [*ORDER[:2], "nobody/has-this", *ORDER[3:]]
    assert "nobody/has-this is not on this machine" in studio("train", "plan", "p", *wrong, "")[1]
    assert "Nothing was started" in studio.refused("train", "start", "p", *wrong, "")
    assert "Nothing was started" in studio.refused("train", "ask_forecast", "p", *wrong)
    assert "No run yet" in studio("runs", "show", "p", "")[0]
    assert "Measuring" in studio("train", "ask_forecast", "p", *ORDER)[0]
    studio.finish()
    drawn, found = studio("train", "show_forecast", "p", *ORDER)
    assert "4 updates" in drawn, "the drawn plan tells what was measured of a step"
    assert "2.0 GB" in found and "Too long" in found and "5,000" in found and "the long one" in found
    assert "measured already" in studio("train", "ask_forecast", "p", *ORDER)[0]
    said, compared, _ = studio("train", "start", "p", *ORDER, "the first")
    assert "the first is queued" in said and len(compared["choices"]) == 1
    assert "Another run is named The first" in studio.refused("train", "start", "p", *ORDER, "The  first")
    until(lambda: status(studio) == "waiting")
    run = run_id(studio)
    assert studio("runs", "draw", "p", run, 0.8, True)[2].count("trained stage1") == 1
    step, name, note = studio("runs", "fields", "p", run)
    assert ["Stage 2", "stage2"] in list(map(list, step["choices"])) and (name, note) == ("the first", "")
    assert studio("runs", "show", "p", f"?open={run}")[1] == run
    said = studio("runs", "rename", "p", run, "", "as it should be")[0]
    assert "Saved: Run 1" in said and f"tacit runs rename {run[:8]} &#x27;&#x27; --note" in said


def test_compress(studio: Studio) -> None:
    studio.open("compress", "p")
    run = run_id(studio)
    sample, seen, text = read_and_edit(studio, run, until)
    approve_and_undo(studio, run, sample, seen, text)
    lists.approves_chosen_rationales(studio, run)
    assert "Open a rationale" in studio.refused("compress", "approve", "p", "", "{}", run, "")
    if _counts(studio, run):
        assert "more are approved" in studio("compress", "by_rule", "p", "", seen, run, text, 1000)[0]
    else:  # the packaged student was never opened on this machine, and the stand-in leaves no tokenizer
        assert "is not on this machine yet" in studio.refused("compress", "by_rule", "p", "", seen, run, text, 1000)
    assert "The run continues" in studio("compress", "approve_rest", "p", "", seen, run, text)[0]
    until(lambda: status(studio) == "finished")
    assert "waits for no review" in studio.refused("compress", "go_on", "p", "", seen, run, text)


def _counts(studio: Studio, run: str) -> bool:
    return studio.services.review.rows(run)[0]["tokens"][2] is not None


def test_only_what_was_approved_is_taught(studio: Studio) -> None:
    started = studio.services.context.runs.get(run_id(studio))
    run = studio.services.run.start("p", started.plan)
    until(lambda: studio.services.context.runs.get(run.id).status == "waiting")
    rows = studio.services.review.rows(run.id)
    studio.open("compress", "p")
    assert "nothing to learn from" in studio.refused("compress", "go_on", "p", "", "", run.id, "")
    studio.services.review.approve(run.id, rows[0]["sample"], 1)
    assert "1 approved" in studio("compress", "go_on", "p", "", "", run.id, "")[0]
    until(lambda: studio.services.context.runs.get(run.id).status == "finished")
    steps = {step.name: step.result for step in studio.services.context.runs.steps(run.id)}
    assert steps["stage2"]["train_rows"] == 1 < len(rows) == steps["stage1"]["train_rows"]


def test_train_again(studio: Studio) -> None:
    run = run_id(studio)
    studio.open("train", "p")
    studio("runs", "fields", "p", run)
    studio("runs", "can_go_on", "p", run)
    studio("runs", "follow", "p", run)
    assert "Choose two" in studio("runs", "compare", "p", [run], 0.5, False)[0]
    both = [one.id for one in studio.services.context.runs.all(studio.services.context.runs.get(run).project_id)]
    differing, plot = studio("runs", "compare", "p", both, 0.5, False)
    assert "settings of these runs are the same" in differing and "Last loss" in differing and plot["value"]
    adapter = Path(studio.services.context.runs.get(run).folder) / "stage3"
    asked = studio("runs", "ask_rerun", "p", run, "stage3")
    assert f"tacit runs rerun {run[:8]} stage3" in str(asked)
    assert (
        "deletes the adapters of stage3" in asked
        and "runs stage3 and the steps after it again" in asked
        and "Last time they took" in asked
    )
    assert adapter.is_dir() and status(studio) == "finished", "nothing is deleted before the answer"
    studio("runs", "keep", "p")
    assert "reruns stage3" in studio("runs", "rerun", "p", run, "stage3")[0]
    until(lambda: status(studio) == "finished")
    assert "no step" in studio.refused("runs", "ask_rerun", "p", run, None)
    assert "no step" in studio.refused("runs", "rerun", "p", run, None)
    assert "asked to stop" in studio("runs", "cancel", "p", run)[0]
    assert "can be resumed" in studio.refused("runs", "resume", "p", run)
    sample = studio.services.review.rows(run)[0]["sample"]
    studio.services.review.edit(run, sample, "by hand, afterwards")
    assert studio.services.run.stale_steps(run) == ["stage2", "stage3"]
    assert "stage2, stage3 are out of date" in studio("runs", "can_go_on", "p", run)
    assert "resumes" in studio("runs", "resume", "p", run)[0]
    until(lambda: status(studio) == "finished")
    studio.services.carry.duplicate("p", "other")
    assert "has no run" in studio.refused("runs", "cancel", "other", run)


def test_evaluate(studio: Studio) -> None:
    evaluating.shows_and_reckons(studio, run_id(studio))


def test_evaluate_sets_the_margin_and_writes_the_report(studio: Studio) -> None:
    evaluating.sets_the_margin_and_writes_the_report(studio, run_id(studio))


def test_evaluate_lists_where_two_differ(studio: Studio) -> None:
    evaluating.lists_where_two_differ(studio, run_id(studio))
    lists.saves_runs_and_differences(studio, run_id(studio))


def test_save_says_why_there_is_nothing_to_save_yet(studio: Studio) -> None:
    saving.says_what_is_lacking(studio, run_id(studio))


def test_playground(studio: Studio) -> None:
    studio.open("playground", "p")
    opened = studio.services.context.projects.get("p")
    few = studio.services.play.first(opened)
    assert {id_ for _, id_ in few[:6]} == {q.id for q in studio.services.context.queries.get(opened.id, Split.HELDOUT)}
    assert studio("playground", "take", "p", few[1][1]).startswith(few[1][0][:40])
    linked = studio("playground", "open_link", "p", f"?open={few[1][1]}")
    assert linked[0].startswith(few[1][0][:40]) and linked[1]["value"] == few[1][1]
    assert studio("playground", "open_link", "p", "?q=What+is+love%3F")[0] == "What is love?"
    assert studio("playground", "open_link", "p", "?open=no-such-query")[0] == SKIPPED
    query, *_ = studio("playground", "pick", "p")
    teachers = ["teacher forward", "teacher eliminate"]
    studio("playground", "rest", "p", teachers)
    told = html.unescape(studio("playground", "command", "p", "Who?", teachers, False))
    assert "tacit ask p 'Who?' --of forward --of eliminate" in told and not studio(
        "playground", "command", "p", "", [], False
    )
    studio("playground", "state", "p", teachers)
    assert "longer than 8,000" in studio.refused("playground", "ask", "p", "x" * 9000, teachers, False)
    panes = studio("playground", "ask", "p", query, teachers, False)
    assert "forward" in panes and "eliminate" in panes
    gold = studio.services.queries.one("p", studio.services.play.read_query(opened, query).id)[1]
    assert f"Gold label: {gold}" in panes and panes.count(">Right<") + panes.count(">Wrong<") == 2
    assert "data-link='open'" in panes
    studio("playground", "stop", "p")
    assert "Type a query" in studio.refused("playground", "ask", "p", " ", teachers, False)
    declined = studio("playground", "ask", "p", "What is love?", teachers, False)
    assert declined.count("does not know this query") == 2
    assert "data-link='q' data-value='What is love?'" in declined and "Gold label" not in declined
    spent = studio.services.keep.spend(studio.services.context.projects.get("p").id)
    assert {row["purpose"] for row in spent} >= {"play", "label", "compress"}
    assert "at least two" in studio.refused("playground", "ask", "p", query, teachers[:1], True)
    for name in ("vote_first", "vote_second", "vote_both", "vote_neither"):
        panes = studio("playground", "ask", "p", query, teachers, True)
        assert "forward" not in panes and "eliminate" not in panes and "tokens" not in panes
        assert "Gold label" not in panes and ">Right<" not in panes and ">Wrong<" not in panes
        panes, tally = studio("playground", name, "p")
        assert "forward" in panes and "Gold label" in panes
    assert "4 blind votes" in tally
    assert "Ask in blind mode first" in studio.refused("playground", "vote_first", "p")


def test_exports(studio: Studio) -> None:
    exporting.take_out(studio, run_id(studio))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with run_hub() as running:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", running.url)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        yield running


def test_pushing(studio: Studio, hub: Hub) -> None:
    run, keys = run_id(studio), studio.services.publish.keys

    def push(what: str, repository: str, private: bool = True, token: str = "") -> str:
        asked = str(studio("exports", "ask_push", "p", run, "stage3", what, repository, private))
        assert ("anybody can see it" in asked) == ("--public" in asked) == (not private)
        assert f"tacit push {run[:8]} {repository} --what" in asked
        studio("exports", "push", "p", run, "stage3", what, repository, private, token)
        studio.finish()
        state = str(studio.open("exports", "p"))
        assert TOKEN not in state and "hf_wrong" not in state
        return state

    stage3 = ["p", run, "stage3", "adapter"]
    assert "OWNER/NAME" in studio.refused("exports", "push", *stage3, "nobody", True, "")
    assert "HF_TOKEN" in studio.refused("exports", "push", *stage3, "me/mine", True, "")
    assert "did not take it" in html.unescape(push("adapter", "me/mine", token="hf_wrong")) and not hub.files
    assert "/me/mine/commit" in push("adapter", "me/mine", token=TOKEN)
    pushed = hub.files["models/me/mine"]
    assert hub.private["models/me/mine"] and {"README.md", "tacit.json", "adapter_config.json"} <= set(pushed)
    (result,) = huggingface_hub.parse_eval_result_entries(yaml.safe_load(pushed[".eval_results/p.yaml"]))
    report = next(r for r in studio.services.context.reports.rows(run) if (r.name, r.kind) == ("stage3", ""))
    assert result.value == pytest.approx(report.accuracy, abs=1e-4) and result.dataset_id == "me/p-heldout"
    assert result.source_url == "https://huggingface.co/me/mine" and f"{report.n} held-out queries" in str(result.notes)
    assert "SmolLM2" in pushed["adapter_config.json"].decode() and "stage3" in pushed["README.md"].decode()
    studio("exports", "keep", "p")
    studio("exports", "can_push", *stage3, "me/mine", True)
    studio("exports", "prepare", "p", run, "stage3", 2, "merged")
    studio.finish()
    assert "/me/whole/commit" in push("merged", "me/whole", private=False)
    whole = hub.files["models/me/whole"]
    assert not hub.private["models/me/whole"] and "tacit.json" in whole
    assert "already and public" in push("merged", "me/whole"), "what was to be private does not go where all can see it"
    assert "/datasets/me/taught/commit" in push("set", "me/taught")
    taught = hub.files["datasets/me/taught"]
    rows = pq.read_table(io.BytesIO(taught["set.parquet"])).to_pylist()
    found = studio.services.context.runs.get(run)
    assert len(rows) == len(studio.services.context.selections.kept(found.selection_id)) and rows[0]["rationale"]
    front = yaml.safe_load(taught["README.md"].decode().split("---")[1])
    assert front["configs"][0]["data_files"] == "set.parquet" and "forward" in taught["README.md"].decode()
    items = _push_items(hub, push, report.n)
    asked = str(studio("exports", "ask_push", "p", run, "stage3", "lm-eval", "me/p-heldout", True))
    assert "held-out queries with their gold labels" in asked
    assert "/a/path" not in str([*pushed.values(), *whole.values(), *taught.values(), *items.values()])
    hub.fails = True
    said = push("set", "me/taught")
    assert "the Hub answered with status 503" in said and "Nothing here was changed" in said
    assert not list((studio.services.context.workspace / "exports").glob("push-*"))
    keys.put("HF_TOKEN", "")


def _push_items(hub: Hub, push: Callable[[str, str], str], n: int) -> dict[str, bytes]:
    """The held-out queries as a task, and the answers as a log; gives the files of the task."""
    assert "/datasets/me/p-heldout/commit" in push("lm-eval", "me/p-heldout") and hub.private["datasets/me/p-heldout"]
    items = hub.files["datasets/me/p-heldout"]
    asked = [json.loads(line) for line in items["tacit_p.jsonl"].decode().splitlines()]
    assert len(asked) == n and all(row["target"] for row in asked)
    assert yaml.safe_load(items["tacit_p.yaml"])["task"] == "tacit_p" and "lm_eval" in items["README.md"].decode()
    assert yaml.safe_load(items["README.md"].decode().split("---")[1])["configs"][0]["data_files"] == ["tacit_p.jsonl"]
    assert "/datasets/me/log/commit" in push("inspect", "me/log")
    assert len(json.loads(hub.files["datasets/me/log"]["stage3.json"])["samples"]) == n
    return items


def test_projects_with_runs_are_carried_and_begun_afresh(studio: Studio) -> None:
    studio.open("home", "p")
    said, written = studio("home", "export", "p", True)
    assert "never a key" in said
    assert "twin is imported" in studio("home", "take", handle_file(written["value"]), "twin", "")[0]
    services = studio.services
    old, new = (services.context.projects.get(name) for name in ("p", "twin"))
    runs = services.context.runs.all(new.id)
    assert [(one.title, one.note) for one in runs] == [
        (one.title, one.note) for one in services.context.runs.all(old.id)
    ]
    assert runs[0].id != run_id(studio)
    assert vars(services.compare)["context"] is services.context
    mine = [vars(s.report) for s in services.compare.systems(services.context.runs.get(run_id(studio)))]
    assert [vars(s.report) for s in services.compare.systems(runs[0])] == mine
    assert [m.state for m in services.standing.marks(new)][:8] == [m.state for m in services.standing.marks(old)][:8]
    assert services.export.stages(runs[0]) == services.export.stages(services.context.runs.get(run_id(studio)))
    listed = services.review.rows(runs[0].id)
    assert [r["compressed"] for r in listed] == [r["compressed"] for r in services.review.rows(run_id(studio))]
    assert services.browse.detail("twin", services.browse.page("twin").rows[0]["id"]).cosines is not None
    assert studio("home", "begin_afresh", "p") == "p, run 1"
    fresh = services.context.projects.get("p, run 1")
    assert services.context.queries.counts(fresh.id) == {"distill": 18, "heldout": 6}
    assert len(services.context.projects.teachers(fresh.id)) == 3 and not services.context.samples.counts(fresh.id)


def test_jobs(studio: Studio) -> None:
    studio.open("jobs", "p")
    tiles, jobs, one, opened, *_ = studio("jobs", "show", "p", "", "all")
    assert "Total spend" in tiles and "Training" in jobs and "Compression" in jobs
    assert "Job id" in one and "Open " in one and opened[:8] in one
    total = studio.services.jobs.counts().total
    assert f"of {total}" in jobs and f"of {total}" not in studio("jobs", "show", "p", "", "here")[1]
    lists.cancels_chosen_jobs(studio)
    assert "No job here" in studio("jobs", "show", "p", "?show=running", "all")[1]
    failed = studio("jobs", "show", "p", "?show=failed&sort=-kind&page=9", "all")[1]
    assert "Finished" not in failed
    assert "no such job" in studio("jobs", "show", "p", "?open=gone", "all")[2]
    spend = studio("jobs", "spend", "p", "all")
    assert "Spend by teacher" in spend and "Compression" in spend
    assert not studio("jobs", "draw", "p", "here")["visible"], "nothing was charged"
    done = studio.services.jobs.page().rows[0]["id"]
    assert "over already" in studio.refused("jobs", "cancel", "p", done)
    assert "Choose a job first" in studio.refused("jobs", "retry", "p", None)
    said, file = studio("jobs", "back_up", "p")
    assert "MB" in said and zipfile.is_zipfile(file["value"])
    assert not studio("jobs", "_sure", "twin", "twi")
    assert "tacit projects purge twin --confirm twin" in studio("jobs", "_sure", "twin", "twin")
    assert "to remove it for good" in studio.refused("jobs", "purge", "p", "twin", "twi")
    runs = [Path(r.folder) for r in studio.services.context.runs.all(studio.services.context.projects.get("twin").id)]
    assert all(folder.is_dir() for folder in runs)
    assert "deleted for good" in studio("jobs", "purge", "p", "twin", "twin")[0]
    assert not any(folder.exists() for folder in runs)
    assert "twin" not in {p.name for p in studio.services.context.projects.all()}


def test_study(studio: Studio, tmp_path: Path) -> None:
    studio.open("study", "p")
    assert "No study yet" in studio("study", "list_studies", "p", "")[0]
    plans = ["standard-kd", "mixed"]
    order = ["small", "1", "smoke", "", plans, "standard-kd", "mixed", "updates", "4"]
    first, second = studio("study", "pairs", "p", *order[:5], "twt", "standard-kd", *order[7:])
    assert (first["value"], second["value"]) == ("standard-kd", "mixed")
    assert "tacit study small.toml" in studio("study", "command", "p", *order)
    quoted = studio("study", "quote", "p", *order)
    assert "of the device" in quoted and "for teachers" in quoted and "standard-kd" in quoted
    assert "Seeds: give whole numbers" in studio.refused("study", "start", "p", "small", "one", *order[2:])
    assert "2 runs, one after the other" in studio("study", "start", "p", *order)[0]
    studio.finish()
    shown = studio("study", "show", "p", "small")
    assert "standard-kd against mixed" in shown[0] and "mixed" in shown[1]
    assert "small is stopping" in studio("study", "cancel", "p", "small")[0]
    assert "resumes" in studio("study", "go_on", "p", "small")[0]
    studio.finish()
    grid = studio.services.study.find("p", "small")
    record = studio.services.study.folder(grid) / "mixed-1.json"
    moved = shutil.move(record, tmp_path / record.name)
    assert "mixed, seed 1: not run yet" in studio("study", "show", "p", "small")[5]
    assert "<html" in Path(studio("study", "report", "p", "small")).read_text()
    assert "1 record imported" in studio("study", "take_in", "p", "small", [handle_file(str(moved))])[0]
    text = (
        '[study]\nname = "filed"\nproject = "q"\nseeds = [1]\ncontrast = ["a", "b"]\norder = { preset = "smoke" }\n'
        '[[arms]]\nname = "a"\nplan = "standard-kd"\n[[arms]]\nname = "b"\nplan = "mixed"\n'
    )
    (tmp_path / "grid.toml").write_text(text, "utf-8")
    assert "filed has started" in studio("study", "start_file", "p", handle_file(str(tmp_path / "grid.toml")))[0]
    studio.finish()


def test_every_handler_was_called(studio: Studio) -> None:
    assert studio.missing(first_half=False) == set()
