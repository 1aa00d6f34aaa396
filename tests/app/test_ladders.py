"""What a ladder saves on the finished demo project: on the page, as a command, as a policy that can be served."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli.main import app
from app.hosted_demo.shipped_project import NAME
from app.services import Services, open_services
from app.usecases.evaluation.comparisons import Terms
from app.usecases.serving.saving_lines import figures, rung_rows, saving_data, say_certificate
from app.usecases.serving.savings import SaveOrder
from app.usecases.training.materials import TEACHERS
from engine.errors import ConfigError, InputError, StateError
from engine.lines import write_atomically, write_lines
from engine.serving.policy import read_policy
from engine.values import make_query
from storage.runs import Run
from tests.app.saving import WISH
from tests.app.studio import Studio, open_studio

SURE_WHERE_RIGHT = (
    "UPDATE answers SET log_prob = CASE WHEN correct THEN -0.01 - (hash(query_id) % 100) / 1000.0 "
    "ELSE -0.05 - (hash(query_id) % 100) / 100.0 END WHERE step LIKE 'evaluate-%'"
)

DRAWN_TWICE = (
    "UPDATE answers SET second_text = text, second_tokens = tokens, second_latency_s = latency_s, "
    "second_temperature = 0.4, second_agrees = correct OR hash(query_id) % 10 = 0 WHERE step = 'evaluate-stage3'"
)


@pytest.fixture(scope="module")
def demo(shipped_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo project, whose students are sure where they are right, mostly."""
    folder = tmp_path_factory.mktemp("saving") / "workspace"
    shutil.copytree(shipped_workspace, folder)
    with open_services(folder) as services, services.context.db.write() as writer:
        writer.run(SURE_WHERE_RIGHT, [])
    shutil.copytree(folder, folder.with_name("copy"))
    return folder


@pytest.fixture(scope="module")
def copy(demo: Path) -> Path:
    """The same once more, which nobody has open."""
    return demo.with_name("copy")


@pytest.fixture(scope="module")
def studio(demo: Path) -> Iterator[Studio]:
    with open_studio(demo) as opened:
        opened.open("save", NAME)
        opened("save", "choose", NAME, "", None, *WISH)
        yield opened


@pytest.fixture(scope="module")
def services(studio: Studio) -> Services:
    return studio.services


def run_of(services: Services) -> Run:
    return services.reading.runs_of(services.projects.get(NAME).id)[0]


class TestALadder:
    def test_it_saves_most_of_the_tokens_within_what_is_allowed(self, services: Services) -> None:
        saving = services.save.read(run_of(services), SaveOrder(allowed=0.1), Terms())
        told = say_certificate(saving)
        assert saving.choice.certified and told.sure and "At most 10 points below" in told.title
        assert saving.choice.step.score >= saving.ladder.reference.score - 0.1
        assert saving.choice.saved["tokens"].value < 0.6 and saving.labels == "gold" and not saving.unsure

    def test_who_is_asked_is_found_by_itself(self, services: Services) -> None:
        run = run_of(services)
        found = services.save.candidates(run)
        saving = services.save.read(run, SaveOrder(), Terms())
        assert saving.order.students == found.usual and saving.order.reference == found.best
        assert (
            found.best
            == max(
                (s.report for s in services.compare.systems(run) if s.group == "teacher"), key=lambda row: row.accuracy
            ).name
        )

    def test_rungs_and_figures_are_told(self, services: Services) -> None:
        saving = services.save.read(run_of(services), SaveOrder(students=("stage3",), allowed=0.1), Terms())
        first, last = rung_rows(saving)
        assert first["rung"] == "stage3" and "confidence is" in first["when"] and last["when"] == "all the rest"
        found = {figure.label: figure for figure in figures(saving)}
        assert found["Output tokens saved"].value.endswith("%") and "assumed" in found["Money saved"].note
        assert found["Time saved"].value == "none", "a scripted teacher takes no time"
        assert "assumed" in found["Pays back after"].note

    def test_nothing_allowed_is_certified_only_of_a_ladder_that_gains(self, services: Services) -> None:
        saving = services.save.read(run_of(services), SaveOrder(allowed=0.0), Terms())
        assert saving.choice.certified and saving.choice.place and saving.choice.step.losses.mean < 0

    @pytest.mark.parametrize(
        ("order", "message"),
        [
            ({"students": ("nobody",)}, "no trained student"),
            ({"students": ("stage3", "stage3")}, "once"),
            ({"students": ("stage1", "stage2", "stage3", "standard-kd")}, "3 students at the most"),
            ({"reference": "nobody"}, "no teacher that answered"),
            ({"rule": "nothing"}, "deferral rule"),
        ],
    )
    def test_what_cannot_be_is_said(self, services: Services, order: dict[str, Any], message: str) -> None:
        with pytest.raises((InputError, ConfigError), match=message):
            services.save.read(run_of(services), SaveOrder(**order), Terms())

    def test_money_needs_prices(self, services: Services) -> None:
        with pytest.raises(InputError, match="dollars of"):
            services.save.read(run_of(services), SaveOrder(effort="dollars"), Terms(device_hour=None))

    def test_a_policy_is_served_by_what_is_in_the_workspace(self, services: Services, demo: Path) -> None:
        run = run_of(services)
        saving = services.save.read(run, SaveOrder(students=("stage3", "stage1"), allowed=0.1), Terms())
        policy = services.save.policy(run, saving)
        assert policy.systems == ("stage3", "stage1", saving.order.reference)
        assert all((demo / rung.adapter / "adapter_config.json").is_file() for rung in policy.students)
        assert policy.certificate is not None and policy.certificate.allowed == 0.1
        assert policy.expected is not None and policy.expected.tokens < policy.expected.reference_tokens
        assert str(demo) not in json.dumps(policy.model_dump(mode="json"))

    def test_a_student_whose_adapter_is_not_shipped_cannot_be_served(self, services: Services) -> None:
        run = run_of(services)
        saving = services.save.read(run, SaveOrder(students=("standard-kd",), allowed=0.1), Terms())
        with pytest.raises(StateError, match="adapter of standard-kd is not here"):
            services.save.policy(run, saving)

    def test_data_for_machines(self, services: Services) -> None:
        data = saving_data(services.save.read(run_of(services), SaveOrder(allowed=0.1), Terms()))
        assert json.loads(json.dumps(data)) == data and sum(data["shares"].values()) == pytest.approx(1)


class TestThePage:
    def test_the_slider_decides(self, studio: Studio) -> None:
        run = run_of(studio.services).id
        careful = studio("save", "show", NAME, 0.5, *WISH[1:], run)
        bold = studio("save", "show", NAME, 10, *WISH[1:], run)
        assert "At most 0.5 points below" in careful[0] and "At most 10 points below" in bold[0]
        assert careful[1] != bold[1]
        assert "95% interval" in bold[0] and "<svg" in bold[2] and "--loss 10" in bold[3] and "tacit gateway" in bold[3]
        assert bold[1].count("<li>") == 3

    def test_kinds_must_be_named_by_callers(self, studio: Studio) -> None:
        run = run_of(studio.services).id
        shown = studio("save", "show", NAME, 10, "tokens", "kind", ["stage3", "stage1"], "forward", "95", "", run)
        assert "must name the kind" in shown[3] and "--sure 95" in shown[3] and "unknown" in shown[0]

    def test_a_gateway_s_meter_is_read_and_its_queries_are_taken_in(self, studio: Studio, demo: Path) -> None:
        assert studio("gateways", "read_meters", NAME)[0] == ""
        folder = demo / "gateway" / "demo"
        folder.mkdir(parents=True)
        about = {"name": "demo", "project": NAME, "policy": "abc", "expected": {"reference_tokens": 80.0}}
        write_atomically(folder / "gateway.json", about)
        asked = [{"system": "stage3", "in": 60, "out": 5, "own": True}]
        request = {"type": "request", "policy": "abc", "at": 1.0, "asked": asked, "rung": "stage3", "seconds": 0.2}
        write_lines(folder / "meter.jsonl", [request, {**request, "rung": None, "error": "timeout"}, request])
        write_lines(folder / "queries.jsonl", [{"query": asdict(make_query("How many are 2 and 2?"))}])
        shown = studio("gateways", "read_meters", NAME)[0]
        assert "stage3 2" in shown and "timeout 1" in shown and "150" in shown, "2 times 75 tokens are saved"
        assert "1 query imported" in studio("gateways", "take_in", NAME)
        assert "0 queries imported" in studio("gateways", "take_in", NAME)

    def test_the_policy_is_taken_along(self, studio: Studio) -> None:
        run = run_of(studio.services).id
        path = studio("save", "take", NAME, 10, "tokens", "confidence", ["stage3"], "forward", "90", "0.10", run)
        assert read_policy(Path(path)).systems == ("stage3", "forward")


class TestTheCommand:
    def test_it_prints_and_writes(self, copy: Path, tmp_path: Path) -> None:
        (run,) = (folder.name for folder in (copy / "runs").iterdir())
        options = ["--loss", "10", "--student", "stage3", "--workspace", str(copy)]
        done = CliRunner().invoke(app, ["policy", run, "--to", str(tmp_path / "policy.json"), *options])
        assert done.exit_code == 0, done.output
        assert "At most 10 points below" in done.output and "tacit gateway" in done.output
        assert read_policy(tmp_path / "policy.json").systems[0] == "stage3"
        data = json.loads(CliRunner().invoke(app, ["policy", run, "--json", *options]).output)
        assert data["ladder"][0] == "stage3" and data["certified"]


class TestTwoDraws:
    def test_they_are_asked_for_and_then_decide(self, copy: Path) -> None:
        wish = SaveOrder(students=("stage3",), rule="two-draws", allowed=0.1)
        with open_services(copy) as services:
            run, save = run_of(services), services.save
            assert "two-draws" not in save.candidates(run).rules
            with pytest.raises(InputError, match=r"lack for stage3: order them .* --second-draw"):
                save.read(run, wish, Terms())
            with services.context.db.write() as writer:
                writer.run(DRAWN_TWICE, [])
            found = save.candidates(run)
            assert found.drawn == {"stage3": 0.4} and "two-draws" in found.rules
            saving = save.read(run, wish, Terms())
            (rung,) = save.policy(run, saving).students
            assert saving.choice.certified and saving.choice.place and rung.rule.second_draw == 0.4
            assert "second draw at temperature 0.4 agrees" in rung_rows(saving)[0]["when"]
            once = {single.system: single.effort for single in saving.ladder.singles}
            share, effort = saving.choice.step.shares[0], saving.choice.step.effort
            assert (
                effort.tokens > 1.9 * once["stage3"].tokens + (1 - share) * 0.9 * saving.ladder.reference.effort.tokens
            )
            assert effort.dollars is not None and once["stage3"].dollars is not None
            assert saving.pay_back.device and "0.4" in json.dumps(saving_data(saving)["rules"])

    def test_nothing_is_drawn_at_no_temperature_or_of_nobody(self, services: Services) -> None:
        run = run_of(services)
        for students, temperature, message in (((), 0.0, "above 0"), (("nobody",), 0.7, "no trained student")):
            with pytest.raises(InputError, match=message):
                services.draws.quote(run, students, temperature)
        quote = services.draws.quote(run, ("stage3",), 0.7)
        assert quote.answers > 100 and quote.tokens > quote.answers and quote.seconds > 0
        with pytest.raises(StateError, match="adapter of standard-kd is not here"):
            services.draws.order(run, ("standard-kd",), 0.7)


class TestWithoutLabels:
    def test_the_teachers_consensus_takes_their_place_and_is_called_so(self, copy: Path) -> None:
        with open_services(copy) as services:
            run = run_of(services)
            with services.context.db.write() as writer:
                writer.run("DELETE FROM golds", [])
                writer.run("UPDATE answers SET correct = NULL WHERE step = ?", [TEACHERS])
                writer.run("DELETE FROM report_values WHERE name IN ('forward', 'eliminate', 'tabulate')", [])
                writer.run("UPDATE report_values SET scored_by = 'agreement'", [])
            saving = services.save.read(run, SaveOrder(reference="forward", allowed=0.2), Terms())
            assert saving.labels == "consensus" and "the teachers' consensus" in say_certificate(saving).text
            assert 0.8 < saving.ladder.reference.score <= 1 and saving.choice.place > 0
