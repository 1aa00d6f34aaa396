"""No network but loopback, no Hub, fixed thread count: the same run everywhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from pytest_socket import socket_allow_hosts

os.environ["TACIT_KEY_VARIABLES"] = "LOOPBACK_KEY,STUDIO_KEY,PLAY_KEY,TICKETS_KEY,OTHER"
os.environ.update(HF_HUB_OFFLINE="1", TACIT_THREADS="1", TOKENIZERS_PARALLELISM="false")
settings.register_profile("suite", deadline=None)  # a busy machine stops a test of 1 ms for 200 ms now and then
settings.load_profile("suite")


@pytest.fixture(autouse=True)
def _only_loopback() -> None:
    socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)


@pytest.fixture(scope="session", autouse=True)
def _programs_are_forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Workers begin as forks of a process that has imported what they import, which most of their time would go into.

    What tests of workers themselves start is a process from scratch, as everywhere outside of tests.
    """
    from tests.fakes.forks import FORKS

    one_of_several = "PYTEST_XDIST_WORKER" in os.environ
    folder, session = tmp_path_factory.getbasetemp(), os.getppid() if one_of_several else os.getpid()
    folder = folder.parent / "forks" if one_of_several else folder / "forks"
    folder.mkdir(exist_ok=True)
    with FORKS.open(folder, session):
        yield


@pytest.fixture(scope="session", autouse=True)
def _stores_are_copies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a new store costs is its migrations, done once here."""
    from tests.fakes.fresh_stores import copied_stores

    with copied_stores(tmp_path_factory.mktemp("fresh")):
        yield


@pytest.fixture(scope="session")
def tiny_student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a Llama of some 60,000 weights and a word tokenizer with a chat template."""
    from tests.fakes.tiny_student import make_tiny_student

    return make_tiny_student(tmp_path_factory.mktemp("tiny"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Of tests that kill: what was killed how often, and what came of it."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    rows = [(r.outcome, text) for r in reports for name, text in getattr(r, "user_properties", ()) if name == "kills"]
    if rows:
        terminalreporter.section("kills")
        for outcome, text in rows:
            terminalreporter.write_line(f"{outcome:6}  {text}")


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    """An empty workspace folder."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    yield folder
