"""The documents say what is there."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
import yaml
from typer._click.exceptions import ClickException

from app.cli.main import app
from engine.columns import read_queries
from engine.records import Record
from engine.selection import SelectionInput, select
from engine.selection.rules import RULES
from engine.selection.settings import NONE, read_selection
from engine.tasks import TASKS
from tests.fakes.forks import FORKS
from tests.fakes.preloaded import write_client
from tests.fakes.variants import registered

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
GUIDES = sorted((ROOT / "docs").glob("*.md"))
PAGES = [README, ROOT / "ARCHITECTURE.md", *GUIDES]
RUN = "<!-- run -->\n"
"""Stands before a block of a page that is run here."""
_BLOCK = re.compile(rf"^(?P<run>{RUN})?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_HEREDOC = re.compile(r"(<<'?(\w+)'?[^\n]*\n).*?^\2$", re.MULTILINE | re.DOTALL)


def read_blocks(text: str, language: str, run_only: bool = False) -> list[str]:
    """The blocks of a page in a language; `run_only`: those that are run here."""
    found = [match for match in _BLOCK.finditer(text) if match["language"] == language]
    return [match["text"] for match in found if match["run"] or not run_only]


def find_commands(block: str) -> Iterator[list[str]]:
    """The words behind each `tacit` of a shell block, without what is set before it or where its output goes."""
    lines = _HEREDOC.sub(r"\1", block).replace("\\\n", " ").splitlines()
    for line in lines:
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        for is_end, group in groupby(lexer, lambda word: set(word) <= set(";&|()")):
            words = [] if is_end else list(group)
            redirected = next((place for place, word in enumerate(words) if word[0] in "<>"), len(words))
            words = words[:redirected]
            while words and re.match(r"\w+=", words[0]):
                del words[0]
            assert "tacit" not in words[1:], f"not seen as a command: {line}"
            if words and words[0] == "tacit":
                yield words[1:]


def parse(words: list[str], whole: bool = True) -> None:
    """Read a command line as `tacit` does, and do nothing. `whole`: what it requires must be there too.

    Raises:
        ClickException: if there is no such command or option, or a value can't be.
    """
    command: Any = typer.main.get_command(app)
    context, rest = command.context_class(command, info_name="tacit"), words
    while hasattr(command, "commands"):
        _, rest, _ = command.make_parser(context).parse_args(list(rest))
        if not rest:
            return
        name, command, rest = command.resolve_command(context, rest)
        context = command.context_class(command, info_name=name, parent=context)
    if whole:
        command.make_context(context.info_name, list(rest), parent=context.parent)
    else:
        command.make_parser(context).parse_args(list(rest))


def modules() -> set[str]:
    found = {
        path.relative_to(ROOT).as_posix()
        for name in ("app", "engine", "storage")
        for path in (ROOT / name).rglob("*.py")
    }
    return {name for name in found if not name.endswith("__init__.py")}


def test_architecture_gives_every_module_a_line_and_names_no_other() -> None:
    told = re.findall(r"^- `([\w/]+\.py)`: \S", (ROOT / "ARCHITECTURE.md").read_text(), re.MULTILINE)
    assert sorted(told) == sorted(modules())


def test_the_readme_begins_with_the_two_commands_and_make_has_what_the_documents_name() -> None:
    readme = README.read_text()
    block = readme.split("```sh\n", 1)[1].split("```", 1)[0]
    assert [line.split("#")[0].strip() for line in block.splitlines()] == ["make demo", "make test"]
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([\w-]+)`", readme + (ROOT / "CONTRIBUTING.md").read_text()))
    assert {"demo", "test", "check"} <= targets and named <= targets


def test_the_readme_is_short_and_leads_to_every_page() -> None:
    lines = README.read_text().splitlines()
    assert len(lines) <= 120 and max(map(len, lines)) <= 120
    linked = set(re.findall(r"\]\(docs/([\w-]+\.md)\)", README.read_text()))
    assert linked == {page.name for page in GUIDES}


def test_the_figures_of_the_readme_are_those_of_the_results() -> None:
    section = README.read_text().split("\n## What the demo shows\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    results = (ROOT / "docs" / "results.md").read_text()
    assert len(rows) == 10 and all(f"\n{row}" in results for row in rows if "---" not in row)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_page_exists_with_its_options(page: Path) -> None:
    text = page.read_text()
    blocks, spans = read_blocks(text, "sh"), re.findall(r"`([^`\n]+)`", _BLOCK.sub("", text))
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^(?:\w+=\S+ )*make ([\w-]+)", "\n".join(blocks + spans), re.MULTILINE)) <= targets
    commands = [(words, True) for block in blocks for words in find_commands(block)]
    commands += [(words, False) for span in spans if span.startswith("tacit ") for words in find_commands(span)]
    for words, whole in commands:
        try:
            parse(words, whole)
        except ClickException as error:
            pytest.fail(f"tacit {shlex.join(words)}: {error.format_message()}")
    assert commands or page.stem in ("benchmarks", "limits", "words")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("tacit lable mine", "No such command"),
        ("FOO=1 tacit label mine --fast  # a comment", "No such option"),
        ("tacit runs show", "Missing argument"),
        ("tacit projects list mine", "unexpected extra argument"),
        ("x=$(tacit runs shwo 3f2a)", "No such command"),
        ("cat <<'EOF' > a\ntacit nothing\nEOF\ntacit train mine \\\n  --rank many > out", "Invalid value for '--rank'"),
        ("true && tacit select mine --threshold 2", "Invalid value for '--threshold'"),
    ],
)
def test_a_wrong_command_of_a_page_is_found(line: str, told: str) -> None:
    (words,) = find_commands(line)
    with pytest.raises(ClickException) as error:
        parse(words)
    assert told in error.value.format_message()


def slug(heading: str) -> str:
    """What a heading is linked by, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    prose = _BLOCK.sub("", page.read_text())
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", prose) if "://" not in link]
    for link in links:
        name, _, part = link.partition("#")
        target = page.parent / name if name else page
        assert target.is_file(), link
        headings = re.findall(r"^#+ (.+)$", _BLOCK.sub("", target.read_text()), re.MULTILINE) if part else []
        assert not part or part in map(slug, headings), link
    assert links


def run_page(page: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the marked blocks of a page in order, by a shell that ends with the first command that fails.

    `folder` stands for the checkout; nothing answers outside of this machine.
    """
    (folder / "bin").mkdir()
    tacit = folder / "bin" / "tacit"
    checkout = folder / "checkout"
    (checkout / "app").mkdir(parents=True)
    (checkout / "app" / "shipped").symlink_to(ROOT / "app" / "shipped")
    (checkout / "docs").symlink_to(ROOT / "docs")
    nowhere = "http://127.0.0.1:9"
    taken = ("TACIT_WORKSPACE", "OPENAI_API_KEY", "MISTRAL_API_KEY", "HF_TOKEN", "NO_PROXY", "no_proxy")
    kept = {name: value for name, value in os.environ.items() if name not in taken}
    own = {"PATH": f"{tacit.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
    offline = {
        "HF_HUB_OFFLINE": "1",
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), nowhere),
    }
    script, env = "\n".join(["set -eux", *read_blocks(page, "sh", run_only=True)]), kept | own | offline
    write_client(tacit, FORKS.command_server())
    return subprocess.run(["sh", "-c", script], cwd=checkout, env=env, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("page", [page for page in GUIDES if RUN in page.read_text()], ids=lambda page: page.stem)
def test_the_marked_commands_of_a_page_run_offline(page: Path, tmp_path: Path) -> None:
    done = run_page(page.read_text(), tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    told = sum(line.startswith("+ tacit ") for line in done.stderr.splitlines())
    blocks = read_blocks(page.read_text(), "sh", run_only=True)
    assert told == len([words for block in blocks for words in find_commands(block)]) > 0


def test_the_how_to_pages_have_commands_that_run() -> None:
    marked = {page.stem for page in GUIDES if read_blocks(page.read_text(), "sh", run_only=True)}
    assert marked >= {"label", "select", "compress", "train", "evaluate", "export", "workspace"}
    assert all(page.read_text().count(RUN) == len(read_blocks(page.read_text(), "sh", True)) for page in GUIDES)


def test_a_command_that_fails_fails_its_page(tmp_path: Path) -> None:
    page = f"{RUN}```sh\ntacit runs show 3f2a\n```\n\n{RUN}```sh\necho went on\n```\n"
    done = run_page(page, tmp_path)
    assert done.returncode == 2 and "went on" not in done.stdout and "no run begins with" in done.stderr


def test_the_plan_of_another_package_is_found_as_its_page_says(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "extend.md").read_text()
    code, *_ = read_blocks(text, "python")
    (config,) = read_blocks(text, "toml")
    ((name, entry),) = tomllib.loads(config)["project"]["entry-points"]["tacit.plans"].items()
    (tmp_path / "two_stages.py").write_text(code)
    info = tmp_path / "tacit_two_stages-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tacit-two-stages\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(f"[tacit.plans]\n{name} = {entry}\n")
    told = (
        "from engine.plans import PLANS, make_plan; from engine.plans.order import PlanOrder; "
        f"print(*PLANS.names()); print(*(step.name for step in make_plan(PlanOrder(plan={name!r})).steps))"
    )
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{tmp_path}"}
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    names, steps = done.stdout.splitlines()
    assert names.split()[-1] == "two-stages"
    assert steps.split() == ["vanilla", "vanilla-fewshot", "stage1", "evaluate-stage1", "stage2", "evaluate-stage2"]


def test_the_rule_of_the_page_rejects_what_it_says() -> None:
    _, code, _ = read_blocks((ROOT / "docs" / "extend.md").read_text(), "python")
    found: dict[str, Any] = {}
    exec(compile(code, "extend.md", "exec", dont_inherit=True), found)
    samples = SelectionInput(
        query=np.array([0, 0, 1]),
        teacher=np.array([0, 1, 0]),
        label=np.zeros(3, dtype=np.int64),
        order=np.arange(3),
        factors=np.empty((3, 0)),
        names=(),
        embeddings=np.zeros((3, 1), dtype=np.float32),
    )
    with registered(RULES, "enough-teachers", found["EnoughTeachers"]):
        config = read_selection(NONE.config, {}, [], ["enough-teachers"])
    assert select(samples, config).kept.tolist() == [True, True, False]


def test_the_task_of_the_page_reads_its_columns_and_splits_its_completions() -> None:
    *_, code = read_blocks((ROOT / "docs" / "extend.md").read_text(), "python")
    found: dict[str, Any] = {}
    exec(code, found)
    rows = [Record(1, {"query": "A cat.", "tone": "dry", "required": "cat Milk"}), Record(2, {"query": "A dog."})]
    with registered(TASKS, "essays", found["ESSAYS"]) as task:
        (block,) = read_queries(iter(rows), {"words": "required"}, 0, task)
    query, other = block.queries
    assert (task.render(query), dict(other.extra)) == ("A cat.\nStyle: dry", {"style": "plain"})
    (gold,) = block.golds.values()
    assert task.show_gold(gold) == "holds cat, milk" and "milk" not in str(query)
    for rationale, label in (("Dry, then.", "The cat\n\ndrank milk ."), ("", "A cat .")):
        completion = task.complete(rationale, label)
        assert task.split_completion(completion) == (rationale, label) and completion.endswith(task.stop)
        assert task.read_answer(query, completion) == label
    assert task.verify(query, "The cat drank milk .", gold) and not task.verify(query, "The cat slept .", gold)
    assert task.split_completion("I do not know.") == ("I do not know.", "")


def test_the_image_is_made_of_what_is_here_and_serves_as_a_space_does() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    words = [line.split() for line in lines]
    copies = [line[1:-1] for line in words if line[:1] == ["COPY"] and not line[1].startswith("--from=")]
    copied = [word for line in copies for word in line if not word.startswith("--")]
    assert copied and all((ROOT / name).exists() for name in copied)
    assert {"app", "engine", "prompts", "storage", "scripts"} <= set(copied)
    assert "USER tacit" in lines and any("--uid 1000 tacit" in line for line in lines)
    assert any("scripts/install.sh" in line for line in lines), "the script that make calls"
    front = yaml.safe_load(README.read_text().split("---\n")[1])
    assert front["sdk"] == "docker" and f"EXPOSE {front['app_port']}" in lines
    command = json.loads(next(line for line in lines if line.startswith("CMD ")).removeprefix("CMD "))
    options = {name for p in typer.main.get_command(app).commands[command[0]].params for name in p.opts}  # type: ignore[attr-defined]
    assert {word for word in command if word.startswith("--")} <= options
    assert str(front["app_port"]) in command and "0.0.0.0" in command


def test_health_is_an_exit_code() -> None:
    done = subprocess.run([sys.executable, "scripts/healthy.py", "http://127.0.0.1:9/"], cwd=ROOT, capture_output=True)
    assert done.returncode == 1 and b"no answer" in done.stderr


def test_the_lock_holds_names_and_versions_only() -> None:
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        assert re.fullmatch(r"[a-z0-9.-]+==[\w.!+-]+( ; .+)?", line), line
        assert "://" not in line and not line.startswith(("nvidia", "cuda", "triton"))


def test_no_address_of_a_package_index_or_of_a_machine_is_committed() -> None:
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=True).stdout.split()
    words = re.compile(("/ro" + r"ot/|/wo" + r"rk/|files\.pythonhosted|pypi\.org/simple|download\.pytorch").encode())
    bad = [name for name in listed if (ROOT / name).suffix != ".json" and words.search((ROOT / name).read_bytes())]
    assert bad == []
