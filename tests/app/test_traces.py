"""Importing traces: queries and recorded teachers with what they cost; personal data is decided on before anything."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli.main import app
from app.services import Services, open_services
from app.usecases.data.trace_words import tell_noticed, tell_traces
from app.usecases.data.traces import PersonalDataFound, TraceImport, TraceService
from app.usecases.evaluation.bills import bills, list_prices, sum_asking
from engine.config import ProjectConfig
from engine.errors import InputError
from engine.plans import make_plan
from engine.plans.order import PlanOrder
from engine.teachers.recorded import RecordingFile
from engine.traces.settings import TraceOrder
from engine.traces.tally import TraceTally
from engine.values import BILLED, RunStatus, Split, TeacherSpec
from storage.runs import Run

GPT = "gpt-4o-2024-08-06"


@pytest.fixture
def services(workspace: Path) -> Iterator[Services]:
    with open_services(workspace) as opened:
        opened.data.create_project(ProjectConfig(name="p", task="custom", embedder="packaged"))
        yield opened


def trace(text: str, said: str = "yes", model: str = GPT, system: str = "", **more: Any) -> dict[str, Any]:
    asked = [{"role": "system", "content": system}] if system else []
    asked.append({"role": "user", "content": text})
    usage = {"prompt_tokens": 1000, "completion_tokens": 10}
    choice = {"message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
    return {"model": model, "messages": asked, "choices": [choice], "usage": usage, **more}


def write(path: Path, *rows: Mapping[str, Any]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def bring(services: Services, *files: Path, **order: Any) -> TraceImport:
    imported = services.traces.import_traces("p", files, TraceOrder(**order))
    if imported.job_id is not None:
        services.context.wait(imported.job_id)
    return imported


def samples(services: Services) -> list[Any]:
    project = services.context.projects.get("p")
    return [sample for split in Split for sample in services.context.samples.get(project.id, split)]


def a_run(services: Services) -> Run:
    plan = make_plan(PlanOrder(plan="standard-kd", preset="smoke"))
    project = services.context.projects.get("p")
    return Run("r", project.id, "none", plan, str(services.context.workspace), RunStatus.FINISHED, "")


def test_replies_become_samples_of_a_teacher_a_model(services: Services, tmp_path: Path) -> None:
    rows = [trace("one?", "not spam"), trace("two?", "spam", "o4-mini"), trace("two?", "spam")]
    imported = bring(services, write(tmp_path / "a.jsonl", *rows))
    found = {(sample.teacher, sample.label) for sample in samples(services)}
    assert found == {(GPT, "not spam"), ("o4-mini", "spam"), (GPT, "spam")}
    said = tell_traces(imported, services.traces.read_back("p", imported))
    assert said[0] == "3 traces taken as OpenAI stored completions (1 file): 2 queries added, 0 held out."
    assert said[1] == "3 replies of 2 models imported, all of them read."
    project = services.context.projects.get("p")
    raws = {row["raw"] for row in services.context.samples.attempts(str(imported.job_id))}
    assert raws == {"spam", "not spam"}, "what the model said is kept as it is"
    assert services.context.queries.kinds(project.id) == {}


def test_reasoning_is_the_rationale_and_a_reply_that_was_cut_off_gives_no_label(
    services: Services, tmp_path: Path
) -> None:
    thought, cut = trace("one?"), trace("two?", "yes, bec")
    thought["choices"][0]["message"]["reasoning_content"] = "It is on."
    cut["choices"][0]["finish_reason"] = "length"
    imported = bring(services, write(tmp_path / "a.jsonl", thought, cut))
    (sample,) = samples(services)
    assert (sample.rationale, sample.label) == ("It is on.", "yes")
    reading = services.traces.read_back("p", imported)
    assert reading is not None and reading.unread == 1 and "cut off" in next(iter(reading.why))


def test_personal_data_is_decided_on_before_anything_is_stored(services: Services, tmp_path: Path) -> None:
    mail = "Is ann@x.org, +49 170 1234567, a customer?"
    rows = [trace("one?"), trace(mail, "ann@x.org is", system="Help. Mail help@x.org"), trace("three?")]
    file = write(tmp_path / "a.jsonl", *rows)
    with pytest.raises(PersonalDataFound, match="1 trace has what looks like personal data") as caught:
        bring(services, file)
    assert "e-mail addresses in 1 trace (2 different; row 2)" in str(caught.value)
    assert "telephone numbers in 1 trace (1 different; row 2)" in str(caught.value)
    assert services.queries.totals("p").total == 0 and services.projects.teachers(services.projects.get("p")) == []
    assert not list(services.context.recordings.glob("*"))
    dropped = bring(services, file, personal="drop")
    assert dropped.queries.added == 2 and dropped.tally.dropped == 1
    masked = bring(services, file, personal="mask")
    assert masked.queries.added == 1 and masked.queries.present == 2
    text = services.queries.page("p", "Is ").rows[0]["text"]
    assert text == "Help. Mail [email 1]\n\nIs [email 2], [phone 1], a customer?"
    labels = {sample.label for sample in samples(services)}
    assert "[email 2] is" in labels and not any("@" in label for label in labels)
    stored = "".join(path.read_text() for path in services.context.recordings.glob("*.jsonl"))
    assert "ann@" not in stored and "help@" not in stored
    kept = bring(services, file, personal="keep")
    assert kept.queries.added == 1 and "with personal data was kept as they are" in " ".join(tell_traces(kept, None))


def change_between_readings(monkeypatch: pytest.MonkeyPatch, file: Path, *rows: Mapping[str, Any]) -> None:
    """Have a file hold other rows once it was looked through."""
    survey = TraceService._survey

    def survey_and_change(*given: Any) -> Any:
        found = survey(*given)
        write(file, *rows)
        return found

    monkeypatch.setattr(TraceService, "_survey", survey_and_change)


def test_rows_that_come_while_files_are_read_are_not_stored_unseen(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mails = [trace(f"Is a{n}@x.org in?", f"a{n}@x.org") for n in range(2)]
    first = write(tmp_path / "a.jsonl", trace("one?"))
    second = write(tmp_path / "b.jsonl", mails[0], trace("two?"))
    change_between_readings(monkeypatch, first, trace("one?"), mails[1])
    imported = bring(services, first, second, personal="mask")
    assert (imported.queries.added, imported.tally.taken, imported.tally.flagged) == (3, 3, 1)
    (error,) = imported.tally.errors
    assert error.row == 2 and "a.jsonl: the file changed while it was read" in error.message
    assert "import it again" in error.message
    assert "@" not in "".join(row["text"] for row in services.queries.page("p", "").rows)
    assert not any("@" in sample.label for sample in samples(services))


def test_a_file_that_was_replaced_while_it_was_read_gives_nothing(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "a.jsonl", trace("one?"), trace("two?"))
    change_between_readings(monkeypatch, file, trace("Is ann@x.org in?"), trace("three?"))
    with pytest.raises(InputError, match=r"2 rows can't be used.*changed while it was read.*Nothing was stored"):
        bring(services, file)
    assert services.queries.totals("p").total == 0 and not list(services.context.recordings.glob("*"))


def test_system_prompts_become_kinds(services: Services, tmp_path: Path) -> None:
    rows = [trace("one?", system="Be brief."), trace("two?", system="Be kind."), trace("three?", system="Be kind.")]
    bring(services, write(tmp_path / "a.jsonl", *rows))
    project = services.context.projects.get("p")
    assert services.context.queries.kinds(project.id) == {"Be kind.": 2, "Be brief.": 1}


def test_a_later_import_adds_to_what_a_teacher_said(services: Services, tmp_path: Path) -> None:
    bring(services, write(tmp_path / "a.jsonl", trace("one?", "a"), trace("two?", "b")))
    bring(services, write(tmp_path / "b.jsonl", trace("two?", "c"), trace("three?", "d")))
    assert {sample.label for sample in samples(services)} == {"a", "c", "d"}
    (spec,) = services.projects.teachers(services.projects.get("p"))
    assert len(RecordingFile(services.context.recordings / f"{spec.endpoint}.jsonl", GPT)) == 3


def test_a_name_that_a_live_teacher_or_a_student_has_is_told_apart(services: Services, tmp_path: Path) -> None:
    project = services.projects.get("p")
    services.context.projects.put_teacher(project.id, TeacherSpec(GPT, "openai", GPT))
    bring(services, write(tmp_path / "a.jsonl", trace("one?"), trace("two?", model="student")))
    specs = {spec.name: spec for spec in services.projects.teachers(project)}
    assert set(specs) == {GPT, f"{GPT} (traces)", "student (traces)"}
    assert specs[f"{GPT} (traces)"].model == GPT and specs[GPT].provider == "openai"


def test_the_old_model_costs_what_its_traces_state(services: Services, tmp_path: Path) -> None:
    rows = [trace(f"query {n}?", model="own-model", cost=0.002) for n in range(4)]
    imported = bring(services, write(tmp_path / "a.jsonl", *rows), heldout=1.0)
    assert imported.tally.models["own-model"].usd == Decimal("0.008")
    run = a_run(services)
    bill = bills(services.context, run)["own-model"]
    assert bill.per_1000 == pytest.approx(2.0) and bill.tokens == 10 and not bill.assumed
    costs = services.context.ledger.answer_costs(run.project_id)
    assert set(costs.values()) == {0.002}
    asking = sum_asking(services.context, run)
    assert (asking.spent, asking.assumed, asking.unknown) == (0, 0, 0), "it was not spent to make a student"
    assert services.quote.spend("p")["cost_usd"] == 0
    assert len(services.context.evidence.known(run.project_id, BILLED)) == 4


def test_without_a_stated_cost_a_list_price_is_assumed_by_the_tokens(services: Services, tmp_path: Path) -> None:
    rows = [trace(f"query {n}?") for n in range(4)]
    rows += [trace(f"query {n}?", model="nobody-lists-it") for n in range(4)]
    bring(services, write(tmp_path / "a.jsonl", *rows), heldout=1.0)
    run = a_run(services)
    found = bills(services.context, run)
    price = list_prices(services.context, run.project_id)[GPT]
    assert price is not None
    expected = (1000 * price.input_usd + 10 * price.output_usd) / 1000
    assert found[GPT].assumed and found[GPT].per_1000 == pytest.approx(float(expected))
    assert not found["nobody-lists-it"].assumed
    assert sum_asking(services.context, run).assumed == 0


def test_where_some_traces_state_a_cost_the_others_are_reckoned(services: Services, tmp_path: Path) -> None:
    rows = [trace("one?", cost=0.01), trace("two?")]
    bring(services, write(tmp_path / "a.jsonl", *rows), heldout=1.0)
    run = a_run(services)
    price = list_prices(services.context, run.project_id)[GPT]
    assert price is not None
    other = float(1000 * price.input_usd + 10 * price.output_usd) / 1_000_000
    bill = bills(services.context, run)[GPT]
    assert bill.assumed and bill.per_1000 == pytest.approx(1000 * (0.01 + other) / 2)


def test_outputs_without_tokens_bill_nothing_as_before(services: Services, tmp_path: Path) -> None:
    services.data.import_queries("p", write(tmp_path / "q.jsonl", {"query": "one?"}), {}, 1)
    file = write(tmp_path / "o.jsonl", {"query": "one?", "teacher": "gpt-4o", "answer": "yes"})
    services.context.wait(services.data.import_outputs("p", file).job_id)
    bill = bills(services.context, a_run(services))["gpt-4o"]
    assert (bill.per_1000, bill.assumed) == (0, False)


def test_an_evals_set_gives_gold_labels_and_no_teacher(services: Services, tmp_path: Path) -> None:
    rows = [{"input": [{"role": "user", "content": f"Is {n} even?"}], "ideal": "yes"} for n in (2, 4)]
    imported = bring(services, write(tmp_path / "a.jsonl", *rows))
    assert imported.job_id is None and imported.queries.golds == 2
    assert services.traces.read_back("p", imported) is None
    assert "2 traces hold no reply: their queries are taken" in " ".join(tell_noticed(imported.tally))


def test_a_preview_tells_and_stores_nothing(services: Services, tmp_path: Path) -> None:
    rows = [trace("one?"), trace("ann@x.org?"), {"choices": []}]
    found = services.traces.look("p", [write(tmp_path / "a.jsonl", *rows)], TraceOrder())
    assert (found.tally.taken, found.tally.rejected, found.must_decide, found.partly) == (2, 1, True, False)
    assert found.rows[0] == {"teacher": GPT, "query": "one?", "reply": "yes", "reasoning": ""}
    assert services.queries.totals("p").total == 0


def test_files_of_several_formats_come_in_at_once_and_errors_name_their_file(
    services: Services, tmp_path: Path
) -> None:
    first = write(tmp_path / "a.jsonl", trace("one?"), {"choices": []})
    second = write(tmp_path / "b.jsonl", {"messages": [{"role": "user", "content": "two?"}, {"role": "assistant"}]})
    third = write(tmp_path / "c.jsonl", {"prompt": "three?", "completion": "yes", "model": "x"})
    imported = bring(services, first, second, third)
    assert imported.queries.added == 2 and set(imported.teachers) == {GPT, "x"}
    assert [error.message.split(":")[0] for error in imported.tally.errors] == ["a.jsonl", "b.jsonl"]


def test_nothing_usable_is_an_error_and_leaves_no_project(workspace: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", *[{"messages": [{"role": "user", "content": ""}]}] * 3)
    with open_services(workspace) as services:
        with pytest.raises(InputError, match=r"3 rows can't be used.*nothing is asked in it"):
            services.traces.import_into({"name": "new"}, [file], TraceOrder())
        assert services.projects.names() == []


def test_the_command_refuses_personal_data_until_it_is_told_what_to_do(workspace: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", trace("one?"), trace("ann@x.org?"))
    command = ["import-traces", "new", str(file), "--workspace", str(workspace)]
    with pytest.raises(InputError, match=r"row 2.*--personal keep, --personal mask or --personal drop"):
        CliRunner().invoke(app, command, catch_exceptions=False)
    told = CliRunner().invoke(app, [*command, "--personal", "mask", "--json"], catch_exceptions=False)
    data = json.loads(told.stdout)
    assert data["traces"]["taken"] == 2 and data["personal"]["email"]["rows"] == ["2"]
    assert data["replies"]["read"] == 2 and data["models"][GPT]["counted"] == 2
    told = CliRunner().invoke(app, [*command, "--personal", "drop"], catch_exceptions=False)
    assert "1 trace with personal data was left out." in told.output and GPT in told.output


def test_sentences_agree_with_their_number() -> None:
    one, two = TraceTally(near=1, bare=1, skipped=1, long=1), TraceTally(near=2, bare=2, skipped=2, long=2)
    assert tell_noticed(one) == [
        "1 row passed over: it called no model.",
        "1 query differs from an earlier one in case, punctuation, numbers and spaces alone.",
        "1 trace holds no reply: its query is taken, for other teachers to answer.",
        "1 reply runs over several lines. A free-text task compares labels as wholes.",
    ]
    assert [line.split()[0] for line in tell_noticed(two)] == ["2"] * 4 and "2 queries differ" in tell_noticed(two)[1]
