"""A corpus of hostile files through the imports of the program: good rows are kept, the fault is named, nothing hangs.

Stated limits: each file of the corpus within 30 s on the clock, the memory of this process within 600 MB.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.services import Services, open_services
from app.usecases.data.imports import QueryImport
from engine.config import ProjectConfig
from engine.errors import InputError
from tests.fakes.hostile_files import HOSTILE, Hostile

SECONDS, MOST_MB = 30, 600


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with open_services(tmp_path_factory.mktemp("hostile") / "workspace") as opened:
        yield opened


def tell(found: QueryImport) -> str:
    return " ".join([found.broke_off, *(error.message for error in [*found.errors, *found.notes])])


def test_the_corpus_is_as_large_as_it_says() -> None:
    assert len({one.name for one in HOSTILE}) == len(HOSTILE) >= 110


@pytest.mark.parametrize("one", HOSTILE, ids=lambda one: ascii(one.name)[1:60])
def test_a_hostile_file_gives_its_good_rows_and_its_fault_is_named(
    services: Services, tmp_path: Path, one: Hostile
) -> None:
    path = tmp_path / one.name
    one.make(path)
    services.data.create_project(ProjectConfig(name=ascii(one.name)[:90], task="custom", embedder="packaged"))
    before, started = peak_mb(), time.monotonic()
    try:
        found = services.data.import_queries(ascii(one.name)[:90], path, {}, 0)
        good, told = found.added, tell(found)
    except InputError as error:
        good, told = 0, str(error)
    assert time.monotonic() - started < SECONDS and peak_mb() - before < MOST_MB
    assert one.told in told and (one.good in (-1, good)), (good, told)
    assert not any(word in told for word in ("Traceback", "Error:", "Exception", "(IndexError", "(TypeError"))
    assert [place.name for place in tmp_path.iterdir()] == [one.name] and not Path("/tmp/evil").exists()
