"""A store that a kill left with a half-written block: mended where nothing is lost, else left as it was."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import StoreError
from storage.db import Database

KILLED = """
import os, signal, sys
from pathlib import Path
from storage.db import Database
database = Database(Path(sys.argv[1]))
with database.write() as writer:
    writer.run("INSERT INTO prompts VALUES ('late', 'n', 't')")
os.kill(os.getpid(), signal.SIGKILL)
"""
FIRST_BLOCK, BLOCK, PAGE = 12_288, 262_144, 4_096
HEADERS = (PAGE, 2 * PAGE)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose last process was killed: what it wrote last is in the log alone."""
    file = tmp_path_factory.mktemp("killed") / "tacit.duckdb"
    first = Database(file)
    with first.write() as writer:
        writer.run("INSERT INTO prompts SELECT 'h' || range, 'n', 't' FROM range(1000)")
    first.close()
    subprocess.run([sys.executable, "-c", KILLED, str(file)], cwd=Path(__file__).parents[2], check=False)
    assert file.with_name("tacit.duckdb.wal").stat().st_size
    return file.parent


@pytest.fixture
def file(killed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(killed, tmp_path / "store")) / "tacit.duckdb"


def tear(file: Path, empty: bool) -> bytes:
    """Overwrite pages of the block of metadata that nothing refers to (`empty`), or something does; the bytes then.

    The newer of two headers names that block behind its own checksum and number.
    """
    data = bytearray(file.read_bytes())
    _, named = max(struct.unpack_from("<QQ", data, header + 8) for header in HEADERS)
    begin = FIRST_BLOCK + (named & (2**56 - 1)) * BLOCK
    pages = range(begin + PAGE, begin + BLOCK, PAGE)
    hit = [page for page in pages if (data[page : page + PAGE] == bytes(PAGE)) is empty]
    for page in hit[-1:] if empty else hit:
        data[page : page + PAGE] = random.Random(page).randbytes(PAGE)
    file.write_bytes(data)
    return bytes(data)


def test_a_block_that_was_half_written_costs_nothing(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    torn = tear(file, empty=True)
    database = Database(file)
    (row,) = database.rows("SELECT count(*) AS n, count(*) FILTER (WHERE hash = 'late') AS late FROM prompts")
    assert row == {"n": 1001, "late": 1}
    database.close()
    assert "was mended" in caplog.text and file.with_name("tacit.torn.duckdb").read_bytes() == torn
    again = Database(file)
    assert again.rows("SELECT count(*) AS n FROM prompts") == [{"n": 1001}]
    again.close()


def test_a_block_that_holds_something_else_is_told_and_left_as_it_is(file: Path) -> None:
    torn = tear(file, empty=False)
    with pytest.raises(StoreError):
        Database(file)
    assert file.read_bytes() == torn and file.with_name("tacit.duckdb.wal").stat().st_size
    assert not list(file.parent.glob("*.torn*"))


def test_without_a_log_a_wrong_checksum_is_damage(file: Path) -> None:
    Database(file).close()
    assert not file.with_name("tacit.duckdb.wal").exists()
    torn = tear(file, empty=True)
    with pytest.raises(StoreError, match="is damaged"):
        Database(file)
    assert file.read_bytes() == torn
