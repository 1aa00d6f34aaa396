"""Rows as JSON, one a line."""

from __future__ import annotations

from pathlib import Path

from engine.exports.base import EXPORTERS, Exporter, Outgoing, Scope
from engine.lines import read_lines, write_lines


def write_jsonl(given: Outgoing, to: Path) -> None:
    """One row a line."""
    write_lines(to, given.rows)


EXPORTERS.add(
    "jsonl", Exporter("JSONL", "One JSON object a line.", Scope.ROWS, write_jsonl, read_lines, suffix=".jsonl")
)
