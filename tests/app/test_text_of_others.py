"""Text of others: what a terminal, a card and a list of names make of it."""

from __future__ import annotations

import ast
import io
import json
import logging
import re
import sqlite3
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from rich.text import Text

from app.cli import console
from app.cli.main import main
from app.services import Services, open_services
from app.usecases.exports.cards import write_card, write_set_card
from engine.config import ProjectConfig
from engine.errors import InputError, StoreError
from engine.foreign import fenced, markdown, plain, quoted
from engine.plans import make_plan
from engine.plans.order import PlanOrder
from engine.selection.settings import SelectionConfig
from storage.db import Database
from tests.app.test_projects import rewrite

EVIL = "a\x1b]0;owned\x07\x1b[2J\x9b31mb\u202ec"
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


def renamed(services: Services, tmp_path: Path, name: str) -> Path:
    """An export of the project `p` that says it has another name."""
    good = services.carry.export("p", tmp_path / "p.zip")
    manifest = json.loads(zipfile.ZipFile(good).read("tacit.json"))
    manifest["config"]["name"] = name
    return rewrite(good, tmp_path / "renamed.zip", **{"tacit.json": json.dumps(manifest).encode()})


def run_cli(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["tacit", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_a_project_whose_name_a_terminal_would_obey_is_refused_or_renamed(
    selected: Services,
    tmp_path: Path,
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = renamed(selected, tmp_path, EVIL)
    place = ["--workspace", str(workspace)]
    assert run_cli(monkeypatch, "projects", "import", str(file), *place) == 2
    said = capsys.readouterr()
    assert "control characters" in said.err and not OBEYED.search(said.out + said.err)
    assert run_cli(monkeypatch, "projects", "import", str(file), "--name", "kept", *place) == 0
    assert capsys.readouterr().out == "kept is imported\n"
    with pytest.raises(InputError, match="control characters"):
        selected.data.create_project(ProjectConfig(name=EVIL, task="custom"))
    with pytest.raises(InputError, match="control characters"):
        selected.carry.duplicate("p", "two\nlines")


def test_what_commands_write_holds_nothing_that_a_terminal_obeys(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = io.StringIO()
    for one in (console.out, console.err):
        monkeypatch.setattr(one, "_file", stream)
    console.print_table(EVIL, [{EVIL: EVIL, "n": 1}])
    console.out.print(EVIL, markup=False)
    console.out.rule(Text(EVIL))
    console.err.print(f"[bold]{EVIL}[/bold]")
    console.print_json({EVIL: [EVIL]})
    text = stream.getvalue() + capsys.readouterr().out
    assert text.count("owned") >= 6 and not OBEYED.search(text.replace("\x1b[1m", "").replace("\x1b[0m", ""))


def test_the_log_of_a_server_holds_nothing_that_a_terminal_obeys(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run_cli(monkeypatch, "--help")
    logging.getLogger("app.gateway.service").warning("%s did not answer: %s", "rung", EVIL)
    assert "owned" in caplog.records[-1].getMessage() and not OBEYED.search(caplog.records[-1].getMessage())
    logging.setLogRecordFactory(logging.LogRecord)


def test_commands_write_through_one_place() -> None:
    folder = Path(console.__file__).parent
    for path in sorted(folder.glob("*.py")):
        if path.name in ("console.py", "options.py"):
            continue
        names = {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}
        assert not names & {"print", "sys.stdout.write", "sys.stderr.write", "typer.echo", "sys.stdout.writelines"}, (
            path
        )


@pytest.mark.parametrize("text", [EVIL, "x" * 5 + "\ud83d", "tab\tand\nline"])
def test_plain_text_keeps_lines_and_letters(text: str) -> None:
    assert not OBEYED.search(plain(text)) and plain(text).encode()
    assert plain("né\t🦓\n") == "né\t🦓\n"


HTML = "<img src=//evil.example/x onerror=alert(1)> ![x](https://evil.example/y) [a](javascript:x)"


def test_markdown_of_others_is_text() -> None:
    reader = MarkdownIt("commonmark").enable("table")
    for text in (HTML, "# x", "a | b\n|---|---|\n| c | d |", "`<b>`", "\\<b>", "***", "<!-- x -->", "a\n\n<script>"):
        made = reader.render(f"- {markdown(text)}\n\n| {markdown(text)} | b |\n|---|---|\n")
        assert not set(re.findall(r"<(\w+)", made)) & {"img", "a", "script", "b", "h1", "code", "em", "strong"}, made
    for text in ("```\n<img src=x>\n```", "````", "~~~\n</code>"):
        made = reader.render(f"{fenced(text)}\n\nbehind")
        assert made.count("<pre>") == 1 and "<img" not in made and made.endswith("<p>behind</p>\n")
        assert reader.render(f"{quoted(text)} behind").count("<code>") == 1


@pytest.fixture
def hostile(students: Services) -> Iterator[Services]:
    """The project with texts of others that are HTML, wherever a card might show them."""
    with students.context.db.write() as writer:
        writer.run("UPDATE queries SET text = ? || text", ["```\n<img src=https://evil.example/q>\n"])
        writer.run("UPDATE projects SET config = replace(config, '\"p\"', ?)", [json.dumps(HTML)])
        writer.run("UPDATE projects SET name = ?", [HTML])
        writer.run("UPDATE teachers SET spec = replace(spec, 'scripted-', ?)", ["<script src=//evil.example/s>"])
    yield students


def test_a_card_holds_neither_html_nor_images_of_others(hostile: Services) -> None:
    run = hostile.run.wait(hostile.run.start(HTML, make_plan(PlanOrder(plan="standard-kd", preset="smoke", seed=1))).id)
    project = hostile.context.projects.get(HTML)
    chosen = hostile.select.select(HTML, SelectionConfig())
    reader = MarkdownIt("commonmark").enable("table")
    for card in (
        write_card(hostile.context, run, "standard-kd", "adapter"),
        write_set_card(hostile.context, project, chosen.id),
    ):
        made = reader.render(card.readme.partition("---\n")[2].partition("---\n")[2])
        assert "evil.example" in made
        assert not set(re.findall(r"<(\w+)", made)) & {"img", "a", "script"}, made


def test_a_recorded_teacher_is_named_as_teachers_are(selected: Services, tmp_path: Path) -> None:
    texts = [row["query"] for row in selected.browse.page("p").rows[:5]]
    names = ["old", EVIL, "<img src=x>", "x" * 70, "meta-llama/Llama-3 (traces)"]
    path = tmp_path / "outputs.jsonl"
    rows = [{"query": text, "teacher": name, "answer": "7"} for text, name in zip(texts, names, strict=True)]
    path.write_text("\n".join(map(json.dumps, rows)))
    found = selected.data.import_outputs("p", path)
    selected.context.wait(found.job_id)
    assert set(found.teachers) == {"old", "meta-llama/Llama-3 (traces)"} and found.rejected == 3
    assert all("name of its teacher" in error.message for error in found.errors)
    good = selected.carry.export("p", tmp_path / "p.zip")
    assert selected.carry.bring(good, "again").name == "again"


@pytest.mark.parametrize("begin", [b"SQLite format 3\0", b"PK\x03\x04", b"hello"])
def test_a_foreign_file_in_the_place_of_the_store_is_named_and_nothing_is_fetched(
    tmp_path: Path, begin: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tacit.duckdb"
    if begin.startswith(b"SQLite"):
        with sqlite3.connect(file) as made:
            made.execute("CREATE TABLE t (a)")
        made.close()
    else:
        file.write_bytes(begin * 2000)
    before = file.read_bytes()
    with pytest.raises(StoreError, match="SQLite" if begin.startswith(b"SQLite") else "no database of this program"):
        Database(file)
    assert file.read_bytes() == before


def test_no_connection_loads_or_fetches_extensions(tmp_path: Path) -> None:
    database = Database(tmp_path / "tacit.duckdb")
    rows = database.rows("SELECT name, value FROM duckdb_settings() WHERE name LIKE '%extension%'")
    settings = {row["name"]: row["value"] for row in rows}
    assert settings["autoload_known_extensions"] == settings["autoinstall_known_extensions"] == "false"
    assert settings["allow_community_extensions"] == "false"
    database.close()
    with open_services(tmp_path / "w") as services:
        assert services.context.db.rows("SELECT 1 AS one") == [{"one": 1}]
