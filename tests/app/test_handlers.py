"""Every handler of every page, called over HTTP as a page calls it: one session, step by step through this file."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gradio_client import handle_file

from app.usecases.data import stored_queries
from app.web.pages.teachers import NEW
from app.web.queries_form import FILE, NOTHING
from app.web.teacher_form import FIELDS, read_settings
from engine.errors import Conflict
from engine.selection.settings import NONE, dcrs
from engine.tasks import ROLES, get_task
from tests.app import lists
from tests.app.deciding import review_by_hand
from tests.app.forms import make_form, send_settings
from tests.app.leaving import leave_provider
from tests.app.prompting import writes_and_reads_prompts
from tests.app.studio import PAGES, Studio, open_studio
from tests.fakes.provider import KEY

UNEVEN = {"reasoning": 0.4, "answer": 0.4, "clarity": 0.2}
SETTINGS = send_settings(dcrs(weights=UNEVEN))
META = {"_type": "gradio.FileData"}
CHOICES = json.dumps({"A": "x", "B": "y"})


@pytest.fixture(scope="module")
def studio(embedded_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    folder = tmp_path_factory.mktemp("studio") / "workspace"
    shutil.copytree(embedded_workspace, folder)
    with open_studio(folder) as opened:
        yield opened


def test_home(studio: Studio, caplog: pytest.LogCaptureFixture) -> None:
    assert studio("home", "create", "tickets", "choice", "packaged") == "tickets"
    assert "already" in studio.refused("home", "create", "tickets", "choice", "packaged")
    assert "tickets" in studio("home", "show", "p", "")
    assert "p</a>" not in studio("home", "show", "p", "?q=TICK")
    assert "Clear the search" in studio("home", "show", "p", "?q=nobody")
    studio.open("home", "p")
    said, listed = studio("home", "duplicate", "p", "twin", "")
    assert "twin" in said and "twin" in listed and "tacit projects duplicate p twin" in said
    said, written = studio("home", "export", "twin", False)
    written = written["value"]
    assert "never a key" in said and Path(written).stat().st_size > 1000
    assert "tacit projects export twin twin.tacit.zip" in said
    said = studio("home", "take", handle_file(written), "again", "")[0]
    assert "tacit projects import twin.tacit.zip --name again" in said
    assert studio("home", "begin_afresh", "again") == "again, run 1"
    assert "was not uploaded here" in studio.by_hand("home", "take", {"path": "/etc/hostname", "meta": META}, "x", "")
    assert [record.getMessage() for record in caplog.records] == ["a path that was not uploaded was refused"]
    assert "Choose a project" in studio.refused("home", "export", None, False)
    assert "A project needs a name" in studio.refused("home", "create", " ", "choice", "packaged")
    assert "no longer available" in studio.refused("home", "create", "x", "sums", "packaged")
    assert "A project needs a name" in studio.refused("home", "duplicate", "p", "", "")
    for name in ("open_form", "close_form", "close_panel"):
        studio("home", name)
    studio("home", "<lambda>", None)


def given(**columns: str) -> list[str]:
    """What the page's lists of columns hold, in the order of the roles."""
    return [columns.get(role, "- none -") for role in ROLES]


def test_data(studio: Studio, tmp_path: Path) -> None:
    path = tmp_path / "up.csv"
    good = [f'"query {n}?","{CHOICES.replace(chr(34), chr(34) * 2)}",B' for n in range(6)]
    path.write_text("\n".join(["question,choices,answerKey", *good, '"",x,A', '"query 9?",no json,A']) + "\n")
    file, many = handle_file(str(path)), len(ROLES)
    none = [None, "", NOTHING, 0.0, None]
    _, *columns = studio("data", "arrive", "tickets", file, NOTHING, 0.0, None)
    found = dict(zip(ROLES, columns[:many], strict=True))
    assert [found[role]["value"] for role in ("query", "choices", "gold")] == ["question", "choices", "answerKey"]
    samples = dict(zip(ROLES, columns[many : 2 * many], strict=True))
    assert "query 0?" in samples["query"] and "your own ids" in samples["id"]
    said, command = columns[2 * many :]
    assert count_of("Valid queries", said) == "6" and count_of("Rows with errors", said) == "2"
    assert re.search(r">7</td><td[^>]*>the choices are", said) and ">8</td>" in said, "by number and reason"
    assert "tacit import-queries tickets up.csv --column query=question" in command and "--heldout 0" in command
    mapped = given(query="question", choices="choices")
    looked = studio("data", "preview", "tickets", file, "", NOTHING, 0.0, None, *mapped)
    assert count_of("Valid queries", looked[2 * many]) == "6" and "gold=" in looked[2 * many + 1]
    studio("data", "can_look", "tickets", file, "")
    assert "Drop a file first" in studio.refused("data", "preview", "tickets", *none, *given())
    chosen = given(query="question", choices="choices", gold="answerKey")
    said = studio("data", "store", "tickets", file, "", NOTHING, 0.0, None, *chosen)[0]
    assert "6 queries added" in said
    studio("data", "<lambda>")
    foreign = tmp_path / "foreign.csv"
    foreign.write_text("Frage,Loesung\nWas ist 1+1?,2\n")
    other = handle_file(str(foreign))
    studio("home", "create", "foreign", "custom", "packaged")
    asked = studio("data", "arrive", "foreign", other, NOTHING, 0.0, None)[1:]
    offered = [[name for name, _ in column["choices"]] for column in asked[:many]]
    assert offered == [["- none -", "Frage", "Loesung"]] * many
    shown = {role for role, column in zip(ROLES, asked[:many], strict=True) if column["visible"]}
    assert shown == {role.name for role in get_task("custom").roles}
    asks = asked[2 * many]
    assert "Which column holds the queries?" in asks and "--" not in asks and "Was ist 1+1?" in asks
    given_now = [other, "", NOTHING, 0.0, None, *given(query="Frage")]
    assert count_of("Valid queries", studio("data", "choose", "foreign", *given_now)[2 + many]) == "1"
    assert "1 query added" in studio("data", "store", "foreign", *given_now)[0]
    assert studio("data", "forget", "foreign")[2 * many] == ""
    assert "pairs are that close" in studio("data", "resemble", "tickets", 0.6)


def count_of(label: str, html: str) -> str:
    """The number on the tile of a label."""
    return re.findall(rf"<div class='label'>{label}</div><div class='value'>([^<]*)<", html)[0]


def test_a_second_file_is_held_out_and_wins_where_both_hold_a_query(studio: Studio, tmp_path: Path) -> None:
    studio("home", "create", "two files", "custom", "packaged")
    first, second = tmp_path / "train.csv", tmp_path / "test.csv"
    first.write_text("question,answer\none,1\ntwo,2\n")
    second.write_text("question,answer\ntwo,2\nthree,3\n")
    studio("data", "arrive", "two files", handle_file(str(first)), FILE, 0.5, None)
    both = [handle_file(str(first)), "", FILE, 0.5, handle_file(str(second)), *given(query="question", gold="answer")]
    _, shown, *drawn = studio("data", "choose", "two files", *both)
    assert shown["visible"] and "Held-out file: 2 valid queries" in drawn[len(ROLES)]
    held, kept = re.findall(r"tacit import-queries[^\n<]*", drawn[len(ROLES) + 1])[-2:]
    assert "test.csv" in held and "--heldout 1" in held and "train.csv" in kept and "--heldout 0" in kept
    said = studio("data", "store", "two files", *both)[0]
    assert "Held-out file: 2 queries added" in said and "Queries: 1 query added" in said
    totals = studio.services.queries.totals("two files")
    assert (totals.distill, totals.heldout, totals.heldout_gold) == (1, 2, 2), "two is asked once, and held out"
    missing = [*both[:4], None, *both[5:]]
    assert "Drop the file of held-out queries" in studio("data", "choose", "two files", *missing)[2 + len(ROLES)]


def teacher(url: str, **changes: Any) -> list[Any]:
    values = {
        "name": "ann",
        "preset": "compatible",
        "model": "fake-small",
        "endpoint": f"{url}/v1",
        "key_variable": "STUDIO_KEY",
        "temperature": 0,
        "top_p": 0.95,
        "max_tokens": 100,
        "concurrency": 2,
        "draws": 1,
        "requests_per_minute": "",
        "tokens_per_minute": "",
        "timeout_s": 20,
        "input_price": "1",
        "output_price": "$2",
    }
    return [(values | changes)[name] for name in FIELDS]


def test_teachers(studio: Studio) -> None:
    studio.open("teachers", "tickets")
    url = studio.provider.url
    draft = teacher(url, key_variable="STUDIO_KEY")
    tried = studio("teachers", "probe", "tickets", *draft, KEY)
    assert "ann answers (structured output: json_schema" in tried and "not saved yet" in tried
    unnamed = teacher(url, name="", model=None)
    models, told = studio("teachers", "offer", "tickets", *unnamed, KEY)
    assert "fake-large" in [value for _, value in models["choices"]] and "2 models offered" in told
    assert "needs a name" in studio.refused("teachers", "probe", "tickets", *unnamed, KEY)
    assert studio.services.teachers.list_all("tickets") == [], "asking stores no teacher"
    assert "STUDIO_KEY" in studio.refused("teachers", "probe", "tickets", *draft, ""), "and no key"
    said, opened, key, seen = studio("teachers", "store", "tickets", *teacher(url), KEY, NEW, "")
    listed, card = studio("teachers", "show_page", "tickets", "?open=ann")
    assert "ann is saved" in said and opened == "ann" and key == "" and KEY not in listed + card + said + seen
    assert "Key set" in listed and "Tested" in listed and "$1.00 / $2.00" in listed and "STUDIO_KEY is set" in card
    shown = studio("teachers", "fill_editor", "tickets", "?open=ann", "")
    assert shown[0] == "ann" and shown[1] == seen
    fields = dict(zip(FIELDS, shown[-len(FIELDS) :], strict=True))
    assert fields["model"]["value"] == "fake-small" and fields["preset"] == "compatible"
    assert fields["endpoint"]["visible"] and (fields["output_price"], fields["requests_per_minute"]) == ("2", "")
    paced = studio("teachers", "store", "tickets", *teacher(url, requests_per_minute="60,000"), "", "ann", seen)
    assert studio.services.teachers.get("tickets", "ann").requests_per_minute == 60_000
    seen = studio("teachers", "store", "tickets", *teacher(url), "", "ann", paced[3])[3]
    assert "not saved" not in studio("teachers", "probe", "tickets", *draft, "")
    saved = studio("teachers", "store", "tickets", *teacher(url, max_tokens=200), "", "ann", seen)
    assert saved[3] != seen
    told = studio.refused("teachers", "store", "tickets", *teacher(url, max_tokens=300), "", "ann", seen)
    assert "Nothing was overwritten" in told
    assert studio.services.teachers.get("tickets", "ann").sampling.max_tokens == 200
    studio("teachers", "store", "tickets", *teacher(url, name="bob", key_variable=""), "", NEW, "")
    assert "Open the teacher" in studio.refused("teachers", "ask_drop", "tickets", NEW)
    assert "tacit teachers remove tickets bob" in studio("teachers", "ask_drop", "tickets", "bob")
    studio("teachers", "keep", "tickets")
    assert "bob" in {row["name"] for row in studio.services.teachers.list_all("tickets")}, "asking removes nothing"
    assert "bob was removed" in studio("teachers", "drop", "tickets", "bob")[0]
    studio("teachers", "begin", "tickets")


def test_a_typed_teacher_is_left_alone_until_another_is_opened(studio: Studio) -> None:
    fill = studio.find("teachers", "fill_editor")
    assert all(set(part) == {"__type__"} for part in fill("tickets", "?open=ann", "ann")), "as while jobs run"
    fresh = fill("tickets", "?open=%2B", "ann")
    assert fresh[0] == NEW and fresh[-len(FIELDS) :][FIELDS.index("name")] == ""


def test_a_preset_fills_in_what_is_usual_and_recordings_ask_for_a_file_only(studio: Studio) -> None:
    address, variable, key, _ = studio("teachers", "take_preset", "tickets", "huggingface")
    assert (address["value"], variable["value"]) == ("https://router.huggingface.co/v1", "HF_TOKEN")
    assert address["visible"] and variable["visible"] and key["visible"]
    address, variable, key, _ = studio("teachers", "take_preset", "tickets", "local")
    assert not any(part["visible"] for part in (address, variable, key))
    told = studio.refused("teachers", "store", "tickets", *teacher("x", preset="recordings"), "", NEW, "")
    assert "use Import outputs" in told
    told = studio("teachers", "tell_command", "tickets", *teacher("http://127.0.0.1:9", name="ann 2", max_tokens=300))
    assert "tacit teachers add tickets &#x27;ann 2&#x27; --provider openai --model fake-small" in told
    assert "--max-tokens 300" in told and "--top-p" not in told and KEY not in told
    assert studio("teachers", "tell_command", "tickets", *teacher("x", input_price="much")) == ""


@pytest.mark.parametrize(
    ("changes", "key", "told"),
    [
        ({"key_variable": ""}, KEY, "fill in the field Key environment variable"),
        ({"preset": "local", "model": "/models/x"}, KEY, "leave the field Key empty"),
        ({"name": ""}, KEY, "A teacher needs a name"),
        ({"model": ""}, "", "A teacher needs the name of its model"),
        ({"endpoint": "nowhere"}, "", "must be a URL"),
        ({"temperature": None}, "", "Temperature: give a number from 0 to 2; the field is empty"),
        ({"draws": 0}, "", "Samples per query: give a whole number from 1 to 100; 0 was given"),
        ({"requests_per_minute": "-1"}, "", "Requests per minute: give a whole number above 0, or leave it empty"),
        ({"requests_per_minute": "1.5"}, "", "Requests per minute: give a whole number above 0"),
        ({"tokens_per_minute": "many"}, "", "Tokens per minute: give a whole number above 0"),
        ({"input_price": "nan"}, "", "Input price ($/M tokens): give a number from 0 to 100,000"),
        ({"top_p": 0}, "", "top_p: give a number above 0 up to 1"),
        ({"output_price": ""}, "", "give both prices"),
    ],
)
def test_a_teacher_is_saved_with_its_key_or_not_at_all(
    studio: Studio, changes: dict[str, Any], key: str, told: str
) -> None:
    before = studio.services.teachers.list_all("tickets")
    values = teacher(studio.provider.url, **{"name": "eve", "key_variable": "EVES_API_KEY", **changes})
    studio.open("teachers", "tickets")
    said = studio.refused("teachers", "store", "tickets", *values, key, NEW, "")
    assert told in said and KEY not in said
    assert studio.services.teachers.list_all("tickets") == before
    assert studio.services.teachers.connections.keys.of("EVES_API_KEY") == ""


def test_a_key_is_as_it_was_where_the_teacher_was_changed_elsewhere(studio: Studio) -> None:
    keys, seen = studio.services.teachers.connections.keys, studio.services.teachers.mark("tickets", "ann")
    values = read_settings(dict(zip(FIELDS, teacher(studio.provider.url), strict=True)))
    with pytest.raises(Conflict):
        studio.services.teachers.add("tickets", values, f"{seen}, but older", "another key")
    assert keys.find(studio.services.teachers.get("tickets", "ann")) == KEY


def test_traces_and_recorded_outputs_are_looked_at_before_they_are_imported(studio: Studio, tmp_path: Path) -> None:
    leave_provider(studio, tmp_path)
    outputs = tmp_path / "old.jsonl"
    rows = [{"query": f"query {n}?", "rationale": "so it is <b>", "answer": "B"} for n in range(4)]
    outputs.write_text("\n".join(map(json.dumps, [*rows, {"query": "nobody asks"}, {"query": "query 5?"}])))
    file = handle_file(str(outputs))
    studio.open("teachers", "tickets")
    assert "Drop a file" in studio.refused("outputs", "bring", "tickets", None, "")
    nameless = studio("outputs", "preview", "tickets", file, "")
    assert count_of("Valid outputs", nameless) == "0" and "no teacher named" in nameless
    shown = studio("outputs", "preview", "tickets", file, "old")
    assert count_of("Valid outputs", shown) == "4" and count_of("Rows with errors", shown) == "2"
    assert "so it is &lt;b&gt;" in shown and "tacit import-outputs tickets old.jsonl --teacher old" in shown
    assert "old" not in {row["name"] for row in studio.services.teachers.list_all("tickets")}
    assert studio("outputs", "forget", "tickets") == ""
    said, name, *_ = studio("outputs", "bring", "tickets", file, "old")
    assert "4 outputs of 1 teacher imported, all of them read." in said and name == "old"
    listed, card = studio("teachers", "show_page", "tickets", "?open=old")
    assert "Recordings, from a file" in listed and "Recordings, from a file" in card
    fill = studio.find("teachers", "fill_editor")
    choice, rest = fill("tickets", "?open=old", "ann")[2:4]
    assert not choice.visible and not rest.visible, "what was recorded can be removed, not changed"


def test_prompts(studio: Studio) -> None:
    writes_and_reads_prompts(studio)


def test_label(studio: Studio) -> None:
    studio.open("label", "tickets")
    order = ["tickets", ["ann"], False, "process"]
    tiles, table = studio("label", "show_quote", *order, "", "")
    assert "Estimated cost" in tiles and "ann" in table and "tacit label tickets" in table
    tiles, table = studio("label", "show_quote", "tickets", ["ann"], True, "batch", "0.00001", "7")
    assert "within 24 h" in tiles and "cap is below this quote" in tiles
    assert "--heldout --max-cost 0.00001 --max-requests 7 --engine batch" in table
    assert "give a cap in US dollars" in studio("label", "show_quote", *order, "lots", "")[0]
    assert "at least one teacher" in studio("label", "show_quote", "tickets", [], False, "process", "", "")[0]
    assert "give a cap in US dollars" in studio.refused("label", "begin", *order, "lots", "")
    assert "at least one teacher" in studio.refused("label", "begin", "tickets", [], False, "process", "", "")
    assert set(studio("failed_replies", "show_failures", "tickets", "")) == {""}
    studio.provider.faults = {"query 5?": ["prose", "prose"]}
    assert "Started" in studio("label", "begin_pilot", *order, "5", "")[0]
    studio.finish()
    assert "measured on 6" in studio("label", "show_quote", *order, "", "")[1]
    card = "".join(map(str, studio.open("label", "tickets")))
    assert "Pilot: not yet" in card and "Only 5 queries were answered" in card, "and it says what it goes by"
    studio("label", "begin", *order, "5", "100")
    studio.finish()
    project = studio.services.context.projects.get("tickets")
    assert studio.services.context.samples.counts(project.id)[0] == {"teacher": "ann", "samples": 5, "failures": 1}
    kinds, listed, one = studio("failed_replies", "show_failures", "tickets", "?show=unparsable/ann")
    assert "Could not be parsed" in kinds and "1-1 of 1 failure" in listed and "query 5?" in one
    assert "Could not be parsed: ann (1)" in listed
    lists.saves_failures(studio)
    assert "No failure matches" in studio("failed_replies", "show_failures", "tickets", "?q=nowhere")[1]
    assert "not among the failures" in studio("failed_replies", "show_failures", "tickets", "?open=gone")[2]
    assert "ann: 0 of 1 can be parsed now" in studio("label", "parse_again", "tickets")
    asked = len(studio.provider.seen)
    studio("label", "begin_retry", *order, "5", "", "timeout")
    studio.finish()
    assert len(studio.provider.seen) == asked, "what failed otherwise is not asked again"
    assert studio.services.context.samples.counts(project.id)[0]["failures"] == 1
    studio("label", "begin_retry", *order, "5", "", "any")
    studio.finish()
    assert studio.services.context.samples.counts(project.id)[0]["failures"] == 0
    assert studio("failed_replies", "show_failures", "tickets", "")[0] == "", "what a good reply followed is no failure"
    assert "Nothing left to ask" in studio("label", "show_quote", *order, "", "")[0]
    assert "Nothing is running" in studio("label", "stop", "tickets")
    assert "Estimated cost" in studio("label", "quote_grades", *order, "", "")
    assert "Started" in studio("label", "begin_grading", *order, "5", "100")[0]
    studio.finish()
    graded = {row["teacher"]: row for row in studio.services.grade.standing(project)}
    assert graded["ann"] == {"teacher": "ann", "samples": 6, "Good": 6, "Medium": 0, "Poor": 0}
    assert "nothing to grade" in studio.refused("label", "begin_grading", *order, "", "")


def test_select(studio: Studio) -> None:
    studio.open("select", "p")
    assert "Samples kept" in studio("select", "choose", "p", *SETTINGS)[0]
    assert ">52</div><div class='note'>of 52 (100%)" in studio("select", "numbers", "p", *send_settings(NONE.config))[0]
    assert "no number is given" in studio("select", "numbers", "p", *send_settings(threshold=None))[0], (
        "as where it was cleared"
    )
    assert "no number is given" in studio.refused("select", "choose", "p", *send_settings(temperature=None))
    set_out = studio("select", "set_out", "p", "recordings")
    assert set_out[3] == 0.6 and set_out[6:8] == ("keep", "keep")
    studio("select", "set_out", "p", "custom")
    studio("select", "show_rules", "p", *send_settings(NONE.config, rules=["threshold"]))
    assert "a temperature needs 50" in studio.refused("select", "fit", "p", *SETTINGS)
    balanced = studio("select", "balance", "p", *send_settings(dcrs(weights=UNEVEN), reasoning=0.3), ["answer"])
    assert balanced[2] == 0.3, "clarity gives up and takes, answer is locked"
    assert "Samples kept" in balanced[len(make_form().weights)]
    ways, *plots = studio("select", "survey", "p", *SETTINGS)[1:]
    assert "keep all" in ways and len(plots) == 3
    assert "majority of labels" in ways and "hard rejection: graded Good: no sample has what it goes by" in ways


def test_decide(studio: Studio) -> None:
    review_by_hand(studio, SETTINGS)
    lists.decides_on_chosen_queries_and_saves(studio)


def test_the_frame(studio: Studio) -> None:
    for page in PAGES:
        shown = studio.open(page, "p")
        assert "Data" in shown[1] and len(json.dumps(shown)) < 1_000_000, "a page's first view stays small"
    rail, strip, *_ = studio("frame", "tick", "p")
    assert "Select" in rail and strip == ""


def test_stored_queries_are_searched_paged_and_read(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = studio.services.data.counts(studio.services.context.projects.get("p"))
    listed, one = studio("queries", "show_page", "p", "?project=p")
    assert f"of {sum(counts.values()):,} queries" in listed and "class='current'" in listed and "To distill from" in one
    monkeypatch.setattr(stored_queries, "LISTED", 5)
    pages = [studio.services.queries.page("p", page=page) for page in (1, 2, 900)]
    assert [page.begin for page in pages] == [0, 5, 15] and {page.total for page in pages} == {sum(counts.values())}
    assert not {row["id"] for row in pages[0].rows} & {row["id"] for row in pages[1].rows}
    beyond, _ = studio("queries", "show_page", "p", "?page=900&sort=nonsense&show=nonsense")
    assert "No query matches" not in beyond, "a page that is not there is the last one"
    assert counts.keys() == {"distill"} and "0 queries" in studio("queries", "show_page", "p", "?show=heldout")[0]
    row = studio.services.browse.page("p").rows[0]
    nothing, whole = studio("queries", "show_page", "p", f"?q=no+such+words&open={row['id']}")
    assert "No query matches" in nothing and row["query"][:20] in whole
    assert "not there any more" in studio("queries", "show_page", "p", "?open=gone")[1]


def test_programs_may_read(studio: Studio) -> None:
    assert "p" in {row["name"] for row in studio("endpoints", "projects")}
    assert {row["step"] for row in studio("endpoints", "standing", "p")} > {"Data", "Label"}
    assert studio("endpoints", "quote", "tickets")[0]["teacher"] == "ann"
    assert studio("endpoints", "selection", "p", 0.0)["samples"] == 52
    assert "there is no project" in studio.refused("endpoints", "standing", "nobody")
    query = studio.services.browse.page("p").rows[0]
    assert studio("endpoints", "query", "p", query["id"])["query"].startswith(query["query"])


def test_every_handler_was_called(studio: Studio) -> None:
    assert studio.missing(first_half=True) == set()
