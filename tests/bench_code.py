"""How many programs a minute are judged: `python -m tests.bench_code QUERIES.jsonl [OUTPUTS.jsonl]`.

Judges the reference code of a file of code tasks, as MBPP's, in every sandbox of this machine, and names what does not
pass. Of a file of recorded outputs (`query_id`, `answer`, `correct`) it judges the answers, and names those that do not
end as their flag says.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from engine.columns import find_columns, name_columns
from engine.records import read_records
from engine.sandbox import SANDBOXES, Status, available
from engine.tasks import code
from engine.tasks.code import CodeTask
from engine.values import Query

Case = tuple[Query, str, str]


def main(queries: Path, outputs: Path | None) -> None:
    task, records = CodeTask(), list(read_records(queries))
    columns = find_columns(name_columns(records), {}, task)
    cases: dict[str, Case] = {}
    for record in records:
        cells = {role: record.values[name] for role, name in columns.items() if record.values.get(name)}
        if "tests" in cells:
            query = task.read_row(cells)
            cases[str(query.key)] = (query, str(cells.get("gold", "")), task.read_gold(query, cells) or "")
    for name in available():
        code.pick = lambda name=name: SANDBOXES[name]  # type: ignore[assignment,misc]
        judge(task, f"{name}: reference code", [case for case in cases.values() if case[1]], None)
        if outputs is not None:
            lines = [json.loads(line) for line in outputs.read_text("utf-8").splitlines()]
            known = [line for line in lines if str(line["query_id"]) in cases and line["answer"] is not None]
            answers = [(cases[str(line["query_id"])], line) for line in known]
            given = [(query, str(line["answer"]), gold) for (query, _, gold), line in answers]
            judge(task, f"{name}: recorded answers", given, known)


def judge(task: CodeTask, title: str, cases: list[Case], flags: list[dict[str, Any]] | None) -> None:
    started = time.monotonic()
    outcomes = [outcome for *_, outcome in task.run_cases(cases)]
    seconds = time.monotonic() - started
    statuses = dict(Counter(outcome.status.value for outcome in outcomes))
    print(f"{title}: {statuses}, {60 * len(cases) / seconds:.0f} a minute")
    for place, (case, outcome) in enumerate(zip(cases, outcomes, strict=True)):
        flag = True if flags is None else bool(flags[place]["correct"])
        if (outcome.status == Status.PASSED) is not flag:
            whose = "" if flags is None else f" {flags[place]['teacher']}"
            print(f"  {case[0].key}{whose}: {outcome.status}, not {flag}: {outcome.message}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
