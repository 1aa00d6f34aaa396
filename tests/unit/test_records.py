from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.errors import InputError
from engine.records import MAX_CELL, Record, read_records

ROWS = [{"query": "1 + 1?", "answer": "2"}, {"query": 'Où, "là"?\n🦓', "answer": "né"}, {"query": "x", "answer": ""}]


def as_csv(rows: list[dict[str, str]], delimiter: str = ",") -> str:
    def cell(text: str) -> str:
        return '"' + text.replace('"', '""') + '"'

    return "".join(
        delimiter.join(map(cell, line)) + "\n" for line in (["query", "answer"], *(r.values() for r in rows))
    )


CONTENTS = {
    "rows.jsonl": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS),
    "rows.ndjson": "\n\n".join(json.dumps(row) for row in ROWS),
    "rows.json": json.dumps(ROWS, indent=1, ensure_ascii=False),
    "wrapped.json": json.dumps({"version": 1, "data": ROWS}),
    "rows.csv": as_csv(ROWS),
    "semicolons.csv": as_csv(ROWS, ";"),
    "rows.tsv": as_csv(ROWS, "\t"),
    "windows.csv": as_csv(ROWS).replace('\n"', '\r\n"'),
}


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    data = content.encode("utf-8") if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def read(folder: Path, name: str, content: str | bytes) -> list[Record]:
    return list(read_records(write(folder, name, content)))


def values(records: list[Record]) -> list[dict[str, Any]]:
    assert [record.error for record in records] == [None] * len(records)
    return [record.values for record in records]


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("name", CONTENTS)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str, ending: str) -> None:
    records = read(tmp_path, name + ending, CONTENTS[name])
    assert values(records) == ROWS
    if not name.endswith(".ndjson"):
        assert [record.row for record in records] == [1, 2, 3]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv", "rows.json"])
def test_a_byte_order_mark_tells_the_encoding(tmp_path: Path, name: str, encoding: str) -> None:
    assert values(read(tmp_path, name, CONTENTS[name].encode(encoding))) == ROWS


UNMARKED = {
    "Western": "How many is {n}, and why?",
    "Cyrillic": "Сколько будет {n} и почему это так?",
    "Chinese": "{n}加{n}等于多少?请说明理由。",
    "Greek": "Πόσο κάνει {n} και {n};",
}


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv"])
@pytest.mark.parametrize("script", UNMARKED)
def test_utf_16_without_a_mark_is_read_in_any_script(tmp_path: Path, script: str, name: str, encoding: str) -> None:
    texts = [UNMARKED[script].format(n=n) for n in range(20)]
    lines = [json.dumps({"query": text}, ensure_ascii=False) for text in texts]
    content = "\n".join(lines) if name.endswith("jsonl") else "query\n" + "\n".join(f'"{text}"' for text in texts)
    assert [row["query"] for row in values(read(tmp_path, name, content.encode(encoding)))] == texts


def test_nuls_alone_make_no_utf_16(tmp_path: Path) -> None:
    data = "\n".join(json.dumps({"query": f"query {n}"}) for n in range(20)).encode().replace(b"query 1", b"q\0e\0y 1")
    records = read(tmp_path, "rows.jsonl", data)
    assert [record.row for record in records if record.error is None] == [1, *range(3, 11)]


def test_a_list_of_texts_is_a_list_of_queries(tmp_path: Path) -> None:
    assert values(read(tmp_path, "a.json", '["one", "two"]')) == [{"query": "one"}, {"query": "two"}]
    assert values(read(tmp_path, "b.json", '{"version": 1, "queries": ["one"]}')) == [{"query": "one"}]


@pytest.mark.parametrize(
    ("name", "head", "told"),
    [
        ("a.csv", b"PK\x03\x04" + bytes(26) + b"[Content_Types].xml", "is an Excel file"),
        ("a.jsonl", b"PK\x03\x04" + bytes(26) + b"rows.jsonl", "is a zip file: unpack it"),
        ("a.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "older Excel"),
        ("a.csv", b"PAR1", "is a Parquet file: name it .parquet"),
        ("a.jsonl", b"\x1f\x8b\x08", "gzip: name it .gz"),
        ("a.txt", b"%PDF-1.7", "is a PDF"),
        ("a.csv", b"SQLite format 3\0", "is an SQLite file"),
        ("a.json", b"\n<!DOCTYPE html><html>", "is a web page"),
        ("a.txt", b"\x28\xb5\x2f\xfd", "zstd"),
        ("a.jsonl", b"x" * 257 + b"ustar", "is a tar file"),
        ("a.jsonl.gz", b"x" * 257 + b"ustar", "is a tar file"),
    ],
)
def test_a_file_of_another_kind_under_a_wrong_name_is_named(tmp_path: Path, name: str, head: bytes, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read(tmp_path, name, head + b"\n" * 500)


def test_parquet_gives_rows_with_nested_values(tmp_path: Path) -> None:
    rows = [
        {"query": "a", "choices": {"label": ["A"], "text": ["x"]}, "n": 1},
        {"query": None, "choices": None, "n": 2},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    assert values(list(read_records(tmp_path / "rows.parquet"))) == rows


def test_a_text_file_is_one_query_a_line(tmp_path: Path) -> None:
    records = read(tmp_path, "queries.txt", "one\n\n  two  \nthree")
    assert values(records) == [{"query": "one"}, {"query": "two"}, {"query": "three"}]


@pytest.mark.parametrize(
    ("encoding", "sentence"),
    [
        ("cp1252", "Où est le café près de l'hôtel à Orléans ? Déjà fermé, très tôt l'été."),
        ("cp1252", "Wie heißt die größte Straße in Köln? “Äpfel” gehören dem Bäcker – für immer."),
        ("cp1252", "¿Dónde está el niño? Mañana comerá una piña en España según su corazón."),
        ("cp1251", "Где находится школа? Мальчик идёт домой по улице."),
        ("cp1250", "Příliš žluťoučký kůň úpěl ďábelské ódy. Kde je škola?"),
        ("shift_jis", "学校はどこですか。少年は家に帰ります。"),
    ],
)
def test_a_legacy_file_is_read_in_its_own_encoding(tmp_path: Path, encoding: str, sentence: str) -> None:
    lines = [f"{n}. {sentence}" for n in range(30)]
    content = "query\n" + "\n".join(f'"{line}"' for line in lines)
    assert [row["query"] for row in values(read(tmp_path, "rows.csv", content.encode(encoding)))] == lines


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.txt"])
def test_one_bad_byte_costs_one_row(tmp_path: Path, name: str) -> None:
    lines = [f'{{"query": "né {n}"}}' if name.endswith("jsonl") else f"né {n}" for n in range(1, 31)]
    header = ["query"] if name.endswith("csv") else []
    data = "\n".join(header + lines).encode().replace(b" 17", b" \xff17")
    records = read(tmp_path, name, data)
    assert [(record.row, record.error) for record in records if record.error] == [(17, "not UTF-8 (byte 0xff)")]
    assert len([record for record in records if record.values]) == 29
    assert records[0].values["query"] == "né 1"


def test_a_bad_byte_in_a_json_array_costs_one_row(tmp_path: Path) -> None:
    data = json.dumps([{"query": f"né {n}"} for n in range(1, 31)], indent=1, ensure_ascii=False).encode()
    records = read(tmp_path, "rows.json", data.replace(b" 17", b" \xff17"))
    assert [record.row for record in records if record.error] == [17]
    for record in records:
        json.dumps(record.values, ensure_ascii=False).encode()


def test_half_a_character_named_in_json_costs_its_row(tmp_path: Path) -> None:
    records = read(
        tmp_path, "rows.jsonl", '{"query": "a \\ud83d"}\n{"query": "b", "choices": ["\\udc00"]}\n{"query": "c"}\n'
    )
    assert [bool(record.error) for record in records] == [True, True, False]


def test_bad_json_lines_are_errors_with_their_numbers(tmp_path: Path) -> None:
    records = read(
        tmp_path, "rows.jsonl", '{"query": "a"}\n{"query": \n\n[1, 2]\n"text"\n{"query": "b"}\n' + "[" * 99999
    )
    assert [(record.row, bool(record.error)) for record in records] == [
        *((1, False), (2, True), (4, True), (5, True), (6, False), (7, True))
    ]


def test_ragged_rows_of_a_table_are_errors_with_their_numbers(tmp_path: Path) -> None:
    records = read(tmp_path, "rows.csv", "query,answer\na,1\nb\nc,2,3\n\nd,4\n")
    assert [(record.row, record.error) for record in records] == [
        (1, None),
        (2, "1 cells, but the header has 2"),
        (3, "3 cells, but the header has 2"),
        (4, None),
    ]
    assert records[3].values == {"query": "d", "answer": "4"}


def test_a_row_of_more_than_a_piece_keeps_all_its_cells(tmp_path: Path) -> None:
    cells = [f"{n} {'x' * 60_000}" for n in range(40)]
    header = ",".join(f"c{n}" for n in range(40))
    (row,) = values(read(tmp_path, "rows.csv", f"{header}\n{','.join(cells)}\n"))
    assert list(row.values()) == cells


def test_a_bad_byte_inside_a_cell_of_several_lines_costs_that_row(tmp_path: Path) -> None:
    data = b'query,answer\n"one\ntwo \xff\nthree",1\nb,2\n' + b"c,3\n" * 20
    records = read(tmp_path, "rows.csv", data)
    assert [(record.row, record.error) for record in records if record.error] == [(1, "not UTF-8 (byte 0xff)")]
    assert records[1].values == {"query": "b", "answer": "2"}


def test_an_oversized_cell_costs_its_row(tmp_path: Path) -> None:
    big = "x" * (MAX_CELL + 1)
    for name, content in (
        ("a.csv", f"query,b\n{big},1\nok,2\n"),
        ("a.jsonl", f'{{"query": "{big}"}}\n{{"query": "ok"}}\n'),
    ):
        records = read(tmp_path, name, content)
        assert [record.error for record in records] == ["a cell is longer than 100,000 characters", None]
    assert values(read(tmp_path, "b.csv", f"query\n{'x' * MAX_CELL}\n"))


def test_a_file_with_nothing_but_a_header_has_no_rows(tmp_path: Path) -> None:
    assert read(tmp_path, "rows.csv", "query,answer\n") == []
    assert read(tmp_path, "rows.json", "[]") == []
    assert read(tmp_path, "rows.jsonl", "\n\n") == []
    assert read(tmp_path, "rows.csv.gz", "") == []


def test_a_json_object_is_one_row_where_it_wraps_no_list(tmp_path: Path) -> None:
    assert values(read(tmp_path, "one.json", '{"query": "a", "answer": 1}')) == [{"query": "a", "answer": 1}]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("rows.csv", b"", "is empty"),
        ("rows.xlsx", b"PK", "is an Excel file: save its sheet as CSV"),
        ("rows", b"text", "unknown kind"),
        ("rows.json", b"[{]", "not JSON"),
        ("rows.json", b'"text"', "no list"),
        ("rows.json", b"[" * 99999, "not JSON"),
        ("rows.parquet", b"PAR1 nonsense", "no readable Parquet"),
        ("twice.csv", b"query,query\na,b\n", "same name"),
    ],
)
def test_a_file_broken_as_a_whole_is_refused(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    with pytest.raises(InputError, match=why):
        read(tmp_path, name, content)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file"):
        read_records(tmp_path / "nope.csv")


@pytest.mark.parametrize("harm", ["cut", "flipped", "no gzip", "checksum"])
def test_a_broken_gzip_file_is_refused(tmp_path: Path, harm: str) -> None:
    whole = gzip.compress("".join(f'{{"query": "number {n * 7919}"}}\n' for n in range(3000)).encode())
    middle = len(whole) // 2
    data = {
        "cut": whole[:middle],
        "flipped": whole[:middle] + bytes(255 - byte for byte in whole[middle : middle + 50]) + whole[middle + 50 :],
        "no gzip": b'{"query": "plain"}\n',
        "checksum": whole[:-8] + bytes(8),
    }[harm]
    (tmp_path / "rows.jsonl.gz").write_bytes(data)
    with pytest.raises(InputError, match=r"rows\.jsonl\.gz"):
        list(read_records(tmp_path / "rows.jsonl.gz"))


def test_a_large_gzip_file_broken_far_behind_gives_its_rows_until_there(tmp_path: Path) -> None:
    rng = random.Random(0)
    lines = [f'{{"query": "{rng.randbytes(500).hex()}"}}\n' for _ in range(2000)]
    whole = gzip.compress("".join(lines).encode(), 1)
    (tmp_path / "rows.jsonl.gz").write_bytes(whole[:-40_000] + whole[1000:41_000])
    seen = 0
    with pytest.raises(InputError, match="breaks off"):
        for record in read_records(tmp_path / "rows.jsonl.gz"):
            seen += record.error is None
    assert 1200 < seen < 2000


def test_a_parquet_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"query": [str(n) for n in range(100)]}), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="Parquet"):
        list(read_records(path))
