"""A task with columns, gold labels and completions of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from engine.ports import Role
from engine.tasks.base import read_label, read_query
from engine.tasks.custom import CustomTask
from engine.values import Query


class ShoutedTask(CustomTask):
    """Answers stand in a fence and count whatever their case; a query has visible tests, its gold label hidden ones."""

    roles = (*CustomTask.roles, Role("tests", "the tests", ("tests",), True), Role("hidden_tests", "the hidden tests"))
    stop = "\n>>>"

    def __init__(self) -> None:
        super().__init__()
        self.title = "shouted answers"

    def read_row(self, cells: Mapping[str, Any]) -> Query:
        return read_query(cells, extra={"tests": cells.get("tests", "")})

    def read_gold(self, query: Query, cells: Mapping[str, Any]) -> str | None:
        hidden = cells.get("hidden_tests")
        return json.dumps({"label": read_label(cells), "hidden": hidden}) if hidden else None

    def show_gold(self, gold: str) -> str:
        return str(json.loads(gold)["label"])

    def render(self, query: Query) -> str:
        return f"{query.text} {query.extra.get('tests', '')}".strip()

    def complete(self, rationale: str, label: str) -> str:
        return f"{rationale.strip()}\n<<<\n{label}\n>>>".strip()

    def split_completion(self, text: str) -> tuple[str, str]:
        rationale, _, fenced = text.rpartition("<<<\n")
        return rationale.strip(), fenced.partition(self.stop)[0]

    def read_answer(self, query: Query, text: str) -> str | None:
        return self.split_completion(text)[1] or None

    def verify(self, query: Query, label: str, gold: str) -> bool:
        return label.upper() in json.loads(gold)["hidden"]
