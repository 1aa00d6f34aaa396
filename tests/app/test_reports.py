"""Written reports: one file that is read offline, with the report's numbers; what others wrote stays text."""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from app.services import Services, open_services
from app.usecases.evaluation.charts import Dot, Field, intervals_svg, place_names, tradeoff_svg
from app.usecases.evaluation.comparisons import Terms
from app.usecases.evaluation.html_report import RunReport, run_html
from app.usecases.evaluation.summary import dots_of, queries_needed, say_money, systems_csv
from app.usecases.training.study_html import study_html
from engine.costs import read_list_price
from engine.errors import InputError
from engine.plans.titles import title_of
from engine.study import Grid
from engine.study_table import ArmResult, Contrast, StudyResult
from storage.runs import Run
from tests.fakes.forks import tacit

EVIL = "<script src='https://evil.example/x.js'>alert(1)</script>"
VOID = {"meta", "br"}


class Balance(HTMLParser):
    """Whether every element that is opened is closed, in its turn; and all elements and attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: dict[str, set[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, set()).add(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def services(shipped_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    folder = tmp_path_factory.mktemp("reports") / "workspace"
    shutil.copytree(shipped_workspace, folder)
    with open_services(folder) as opened:
        yield opened


@pytest.fixture(scope="module")
def run(services: Services) -> Run:
    return services.reading.runs_of(services.projects.get("demo").id)[0]


@pytest.fixture(scope="module")
def report(services: Services, run: Run) -> RunReport:
    return services.report.read(run, Terms())


def is_closed(text: str) -> Balance:
    """It parses, runs nothing and fetches nothing."""
    found = Balance(text)
    assert not found.tags & {"script", "link", "iframe", "img", "object", "embed", "form", "base"}
    assert not {name for name in found.attributes if name.startswith("on")}
    assert not found.attributes.keys() & {"src", "href", "action", "srcset", "xlink:href"}
    assert "url(" not in text and "@import" not in text
    return found


def test_the_report_says_what_the_report_of_the_run_says(services: Services, run: Run, report: RunReport) -> None:
    text = services.report.html(run, Terms())
    is_closed(text)
    assert text.startswith("<!doctype html>") and "prefers-color-scheme: dark" in text and "@media print" in text
    plain = unescape(re.sub(r"<[^>]+>", " ", text))
    verdict = services.compare.verdict(run)
    assert verdict is not None and verdict.ship and f"Ship {title_of(verdict.ship)}" in plain
    for row in services.context.reports.rows(run.id):
        assert title_of(row.name) in plain and (not row.kind or row.kind in plain)
        shown = f"{row.accuracy:.2f}" if row.kind else f"{row.accuracy:.2f}  {row.ci_low:.2f}-{row.ci_high:.2f}"
        assert shown in plain, (row.name, row.kind)
    for system in services.compare.systems(run, Terms().device_hour):
        assert system.cost_per_1000 is not None and f"{system.cost_per_1000:,.4f}" in plain
    bill = services.compare.bill(run, 0.10)
    assert bill["pays_back"] in plain and "(assumed)" in bill["pays_back"]
    for said in ("puzzles-forward", "LoRA rank 8", "threshold 0.95", "tacit-studio", run.id, date.today().isoformat()):
        assert said in plain
    assert len(text) < 100_000


def test_what_others_wrote_stays_text(report: RunReport) -> None:
    name = EVIL
    systems = tuple(
        replace(system, report=replace(system.report, name=name)) if system.ship else system
        for system in report.systems
    )
    kinds = report.kinds
    assert kinds is not None
    groups = tuple((t, tuple(replace(line, name=name) for line in lines)) for t, lines in report.table.groups)
    hostile = replace(
        report,
        project=EVIL,
        plan=EVIL,
        systems=systems,
        summary=replace(report.summary, title=EVIL, text=EVIL, helps=(EVIL,)),
        table=replace(report.table, groups=groups),
        kinds=replace(kinds, kinds=(EVIL,), counts={EVIL: 3}, rows=((EVIL, (0.5,)),), ships={EVIL: EVIL}),
        pays_back=EVIL,
        more=(EVIL,),
        facts={EVIL: EVIL},
        settings=({EVIL: EVIL},),
        origins={EVIL: [{EVIL: EVIL}]},
    )
    text = run_html(hostile)
    is_closed(text)
    assert "&lt;script" in text


def test_prices_that_are_given_are_reckoned_with(services: Services, run: Run) -> None:
    dear = Terms(1.0, {"forward": read_list_price("$4 / 16")})
    text = services.report.html(run, dear)
    before, after = (services.compare.systems(run, t.device_hour, t.prices) for t in (Terms(), dear))
    costs = [{s.report.name: s.cost_per_1000 for s in systems} for systems in (before, after)]
    assert costs[1]["forward"] == pytest.approx(10 * costs[0]["forward"])
    assert costs[1]["tabulate"] == costs[0]["tabulate"] and costs[1]["stage3"] == pytest.approx(10 * costs[0]["stage3"])
    assert f"{costs[1]['forward']:,.4f}" in text and "$4 in, $16 out a million tokens (assumed)" in text
    for wrong in ("4", "a / b", "-1 / 2", "nan / 1", "1/2/3", ""):
        with pytest.raises(InputError, match="in and out"):
            read_list_price(wrong)


def test_names_of_dots_cover_neither_dots_nor_each_other(report: RunReport) -> None:
    crowd = [Dot(f"system number {n}", 5 + n % 3, 0.6 + n / 200, 0.5, 0.8, "#000") for n in range(10)]
    for dots in (dots_of(report.systems), crowd):
        for width in (940, 340):
            field = Field(width, 380, (1, 200), (0, 1))
            boxes = place_names(dots, field)
            spots = [field.at(dot.tokens, dot.score) for dot in dots]
            for place, box in enumerate(boxes):
                assert box.left >= 0 and box.right <= width and box.top >= 0 and box.bottom <= 380
                assert not any(box.meets(other) for other in boxes[place + 1 :])
                assert not any(box.left < x < box.right and box.top < y < box.bottom for x, y in spots)
    assert tradeoff_svg([], "accuracy") == "" == intervals_svg([], "score")


def test_the_comparison_as_csv_is_unrounded(report: RunReport) -> None:
    rows = list(csv.DictReader(io.StringIO(systems_csv(report.systems))))
    assert [row["system"] for row in rows] == [system.report.name for system in report.systems]
    assert [float(row["score"]) for row in rows] == [system.report.accuracy for system in report.systems]
    assert [row["system"] for row in rows if row["ship"] == "True"] == ["standard-kd-equal-updates"]
    evil = replace(report.systems[0], report=replace(report.systems[0].report, name="=1+1"))
    assert "'=1+1" in systems_csv([evil]), "a spreadsheet takes it for text"


def test_what_would_show_a_gain_is_reckoned() -> None:
    assert queries_needed(0.05, 0.10, 30) == 120
    assert queries_needed(0.03, 0.10, 100) == 1_200, "rounded up to two digits"
    assert queries_needed(0.0, 0.1, 30) is None is queries_needed(0.001, 0.1, 30)
    assert say_money(None) == "unknown" and say_money(1234.5) == "$1,234.5000"


def study() -> tuple[Grid, StudyResult]:
    grid = Grid.model_validate(
        {
            "name": "small",
            "project": EVIL,
            "seeds": [1, 2, 3],
            "order": {"preset": "smoke"},
            "arms": [{"name": "a", "plan": "twt"}, {"name": "b", "plan": "mixed"}],
            "contrast": ["a", "b"],
        }
    )
    arms = (ArmResult("a", 3, 0, 20, 0.7, 0.6, 0.8, 5.0, {}), ArmResult("b", 3, 1, 20, 0.5, 0.4, 0.6, 9.0, {}))
    contrast = Contrast("a", "b", 0.2, 0.1, 0.3, 0.001, 0.001, True)
    return grid, StudyResult(arms, (contrast,), (f"b, seed 3: failed: {EVIL}",))


def test_a_study_is_written_so_too() -> None:
    grid, result = study()
    text = study_html(grid, result, date(2026, 11, 29))
    is_closed(text)
    assert "a is better than b" in text and "+0.200 [+0.100, +0.300]" in text and "0.600-0.800" in text
    assert "verdict wait" not in text and "2026-11-29" in text and "&lt;script" in text
    is_closed(study_html(grid, StudyResult((), (), ("a, seed 1: not run yet",)), date(2026, 11, 29)))


def test_the_commands_write_them(tmp_path: Path) -> None:
    workspace = ["--workspace", str(tmp_path / "workspace")]
    assert tacit("projects", "import", "app/shipped/demo.tacit.zip", *workspace).returncode == 0
    file = tmp_path / "report.html"
    done = tacit("report", "d9ad", "--html", str(file), "--price", "forward=4/16", *workspace)
    assert done.returncode == 0 and str(file) in done.stdout, done.stderr
    assert "$4 in, $16 out" in file.read_text("utf-8")
    refused = tacit("report", "d9ad", "--html", str(file), "--price", "forward", *workspace)
    assert refused.returncode == 2 and "TEACHER=IN/OUT" in refused.stderr
    grid = tmp_path / "grid.toml"
    grid.write_text(
        '[study]\nname = "s"\nproject = "p"\nseeds = [1]\ncontrast = ["a", "b"]\norder = { preset = "smoke" }\n'
        '[[arms]]\nname = "a"\nplan = "standard-kd"\n[[arms]]\nname = "b"\nplan = "mixed"\n',
        "utf-8",
    )
    (tmp_path / "records").mkdir()
    told = tmp_path / "study.html"
    words = ["--table", "--records", str(tmp_path / "records"), "--html", str(told)]
    done = tacit("study", str(grid), *words, "--json")
    assert done.returncode == 0 and done.stdout.startswith("{") and "written" not in done.stdout, done.stderr
    assert "a, seed 1: not run yet" in told.read_text("utf-8")
