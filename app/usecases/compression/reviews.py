"""Reviewing compressed rationales: look, edit, approve, restore, approve by rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from app.usecases.compression.compressions import AGAIN, answer_step
from app.usecases.workspace.context import Context
from app.usecases.workspace.paging import Rows, turn_to
from app.usecases.workspace.sheets import Sheet
from engine.compression.rewriting import KEPT, NOT_PRESERVED, PRESERVED, SAME, WITH, WITHOUT, check_rewrite
from engine.datasets.rows import Example
from engine.errors import InputError, NotFound
from engine.packaged import packaged_student_folder
from engine.plans import Compress
from engine.records import MAX_CELL
from engine.tasks import get_task
from engine.teachers.tokens import find_in_files
from engine.values import RationaleOrigin, RunStatus
from storage.rationales import SORTS, RationaleMeasures, Sought, Version
from storage.runs import Run

PAGE = 25
"""Rationales on a page of the list."""
FILTERS = {
    "all": "All",
    "unapproved": "Unapproved",
    "changed": "Changed answer",
    "longer": "Longer",
    "edited": "Edited",
    "kept": "Original kept",
    "approved": "Approved",
}
"""Titles of what the list can be narrowed to."""
_COLUMNS = (
    *("query", "teacher", "label", "original", "student", "compressed", "tokens of original", "tokens of compressed"),
    *("origin", "approved"),
)
Row = dict[str, Any]
_UNLIKE = ("answer changed", "does not lead to the answer")
"""What flags of kept originals say whose rewriting did not keep the answer."""


class Counts(NamedTuple):
    """What stays of a run's rationales as long as nothing is written: see `Summary`."""

    rationales: int
    original_tokens: float | None
    compressed_tokens: float | None
    preserved: int
    checked: int
    kept_original: int
    led: int
    unaided: int


_LENGTHS: dict[tuple[str, int], int] = {}
"""Lengths that were counted before, by tokenizer and hash of the text: a page asks for those of all rationales."""
_MOST_LENGTHS = 1_000_000
_LOOKED: dict[tuple[str, ...], tuple[RationaleMeasures, Counts]] = {}
"""What was measured before, by run, tokenizer and the stamp of its rationales: approving changes nothing of it."""
_MOST_LOOKED = 40


@dataclass(frozen=True)
class ReviewSummary:
    """How compression went. Tokens are the student's own, medians; None where its tokenizer is not at hand.

    `preserved` counts rewrites after which the answer was the same, `checked` those that were checked at all.
    At level 2, `led` counts those with which another teacher gave the same answer, `unaided` those where it gave it
    without them too. `reviewed`: a person approves what stage 2 is taught.
    """

    rationales: int
    original_tokens: float | None
    compressed_tokens: float | None
    preserved: int
    checked: int
    kept_original: int
    led: int
    unaided: int
    approved: int
    level: int
    reviewed: bool
    waiting: bool
    asking: int


class Edited(NamedTuple):
    """A version written by hand, and what speaks against it; only where nothing does is it approved at once."""

    version: int
    flaw: str | None


@dataclass(frozen=True)
class ReviewService:
    """Use cases of a person who reviews compressed rationales."""

    context: Context

    def runs(self, project_id: str) -> list[Run]:
        """The project's runs that compress, newest first."""
        return [
            run for run in self.context.runs.all(project_id) if any(isinstance(s, Compress) for s in run.plan.steps)
        ]

    def rows(self, run_id: str) -> list[Row]:
        """All compressed rationales of a run beside their originals, measured in the student's tokens; to be read only.

        Keys as of `Rationales.listed`, and tokens (original, student, compressed; None: not known), check (what was
        checked, as text), preserved (None: not checked).
        """
        run = self.context.runs.get(run_id)
        folder = find_tokenizer(run)

        def read() -> list[Row]:
            return _measure(folder, self.context.rationales.listed(run.id, self._answers(run)))

        return self.context.db.once(f"rationales of {run.id} in tokens of {folder}", read)

    def page(self, run_id: str, sought: Sought, page: int = 1) -> Rows:
        """Some of `rows`, as `turn_to`. What is no filter or order counts as none."""
        run = self.context.runs.get(run_id)
        measured, _ = self._measure(run)
        sought, find = _known_only(sought), self.context.rationales.find_page
        answers = self._answers(run)
        rows = turn_to(page, PAGE, lambda begin: find(run.id, answers, measured, sought, begin, PAGE))
        return replace(rows, rows=_measure(find_tokenizer(run), rows.rows))

    def sheet(self, run_id: str, sought: Sought) -> Sheet:
        """All that `page` finds, whole; lengths in the student's tokens."""
        run = self.context.runs.get(run_id)
        measured, _ = self._measure(run)
        rows = self.context.rationales.stream_found(run.id, self._answers(run), measured, _known_only(sought))
        return Sheet(_COLUMNS, rows)

    def next_unapproved(self, run_id: str, sought: Sought, sample_id: str) -> tuple[str, int] | None:
        """The unapproved rationale to look at behind a sample's, of those sought, and the page that it is on.

        None where no other is left.
        """
        run = self.context.runs.get(run_id)
        measured, _ = self._measure(run)
        place = self.context.rationales.find_next(run.id, self._answers(run), measured, _known_only(sought), sample_id)
        return (place[0], place[1] // PAGE + 1) if place else None

    def count_approved(self, run_id: str) -> int:
        """How many rationales a person has approved in the last compress step of a run: what its next stage learns."""
        return len(self.context.rationales.approved(run_id))

    def summary(self, run_id: str) -> ReviewSummary:
        """How compression went over all of a run."""
        run = self.context.runs.get(run_id)
        asking = [job for job in self.context.jobs.unfinished_jobs() if job.kind == AGAIN and job.run_id == run.id]
        return ReviewSummary(
            **self._measure(run)[1]._asdict(),
            approved=self.context.rationales.count_approved(run.id),
            level=run.plan.check_level,
            reviewed=run.plan.reviewed,
            waiting=run.status is RunStatus.WAITING,
            asking=len(asking),
        )

    def _measure(self, run: Run) -> tuple[RationaleMeasures, Counts]:
        """Lengths and checks of all rationales of a run, counted anew only after one was written."""
        folder = find_tokenizer(run)
        counter = "" if find_in_files(folder) is None else folder
        key = (run.id, counter, self.context.rationales.stamp(run.id))
        if key not in _LOOKED:
            while len(_LOOKED) >= _MOST_LOOKED:
                _LOOKED.pop(next(iter(_LOOKED)), None)
            _LOOKED[key] = _look_over(self.rows(run.id))
        return _LOOKED[key]

    def one(self, run_id: str, sample_id: str) -> Row:
        """One of them in full, with `versions`, the teacher's own text first as version 0.

        Raises:
            NotFound: if the run has no rationale of that sample.
        """
        run = self.context.runs.get(run_id)
        rows = self.context.rationales.listed(run.id, self._answers(run), sample_id)
        if not rows:
            raise NotFound(f"run {run.id} has no compressed rationale of sample {sample_id!r}")
        row = _measure(find_tokenizer(run), rows)[0]
        first = {"version": 0, "origin": "the teacher's own", "text": row["original"], "flags": (), "approved": False}
        return row | {"versions": [first, *self.context.rationales.versions(run.id, sample_id)]}

    def edit(self, run_id: str, sample_id: str, text: str, seen: int | None = None) -> Edited:
        """Write a new version by hand; earlier versions stay. What passes level 1 is approved by that.

        Raises:
            InputError: if the text is empty, or the run has no rationale of that sample.
            Conflict: if there is a newer version than `seen`.
        """
        run = self._known(run_id, sample_id)
        if not text.strip():
            raise InputError("the new text is empty; nothing was changed")
        if len(text) > MAX_CELL:
            raise InputError(
                f"the new text has {len(text):,} characters; at most {MAX_CELL:,} are kept. Nothing was changed"
            )
        row = self.context.rationales.listed(run.id, self._answers(run), sample_id)[0]
        task = get_task(self.context.projects.get(run.project_id).config.task)
        query = self.context.queries.find_one(run.project_id, row["query_id"])
        example = Example(query, sample_id, row["original"], row["label"])
        flaw = check_rewrite(task, example, text.strip())
        flag = f"{PRESERVED} (level 1)" if flaw is None else f"{NOT_PRESERVED}{flaw} (level 1)"
        version = Version(RationaleOrigin.EDITED, text.strip(), (flag,), approved=flaw is None)
        return Edited(self.context.rationales.add(run, sample_id, version, seen), flaw)

    def restore(self, run_id: str, sample_id: str, version: int, seen: int | None = None) -> int:
        """Bring an earlier version back as the newest (0: the teacher's own text), which approves it.

        Raises:
            InputError: if there is no such version.
            Conflict: if there is a newer version than `seen`.
        """
        run = self._known(run_id, sample_id)
        row = next((row for row in self.one(run.id, sample_id)["versions"] if row["version"] == version), None)
        if row is None:
            raise InputError(f"there is no version {version} of this rationale; nothing was changed")
        restored = Version(RationaleOrigin.RESTORED, row["text"], row["flags"])
        return self.context.rationales.add(run, sample_id, restored, seen)

    def approve(self, run_id: str, sample_id: str, seen: int) -> None:
        """Approve the version that a person looks at.

        Raises:
            InputError: if the run has no rationale of that sample.
        """
        run = self._known(run_id, sample_id)
        self.context.rationales.approve(run.id, [(sample_id, seen)])

    def withdraw(self, run_id: str, sample_id: str) -> None:
        """Take the approval of a rationale back; a run with a review then leaves it out.

        Raises:
            InputError: if the run has no rationale of that sample.
        """
        run = self._known(run_id, sample_id)
        self.context.rationales.withdraw(run.id, sample_id)

    def approve_listed(self, run_id: str, versions: Sequence[tuple[str, int]]) -> list[str]:
        """Approve versions as they were listed; which are not the newest any more, or approved already, stay so.

        Returns the samples whose rationales were approved now.
        """
        newest = {row["sample"]: row for row in self.rows(run_id)}
        fit = [
            (sample, version)
            for sample, version in versions
            if sample in newest and newest[sample]["version"] == version and not newest[sample]["approved"]
        ]
        self.context.rationales.approve(self.context.runs.get(run_id).id, fit)
        return [sample for sample, _ in fit]

    def withdraw_all(self, run_id: str, samples: Sequence[str]) -> None:
        """Take the approvals of some rationales back."""
        self.context.rationales.withdraw(self.context.runs.get(run_id).id, *samples)

    def approve_by_rule(self, run_id: str, most_tokens: int) -> int:
        """Approve every rewrite that preserved the answer in fewer than so many student tokens. Returns how many.

        Raises:
            InputError: if the student's tokenizer is not at hand, so that nothing can be counted.
        """
        rows = self.rows(run_id)
        if any(row["tokens"][2] is None for row in rows):
            raise InputError("the student's tokenizer is not on this machine yet, so tokens can't be counted")
        fit = [row for row in rows if row["preserved"] and row["tokens"][2] < most_tokens and not row["approved"]]
        run = self.context.runs.get(run_id)
        return self.context.rationales.approve(run.id, [(row["sample"], row["version"]) for row in fit])

    def _answers(self, run: Run) -> str:
        """The step in which the student wrote what the rationales under review were compressed toward."""
        return answer_step(run, self.context.rationales.last_step(run.id))

    def _known(self, run_id: str, sample_id: str) -> Run:
        run = self.context.runs.get(run_id)
        if sample_id not in self.context.rationales.newest(run.id):
            raise InputError(f"run {run.id} has no compressed rationale of sample {sample_id!r}")
        return run


def _measure(folder: str, rows: Sequence[Row]) -> list[Row]:
    """Rows with their lengths, and what was checked."""
    names = ("original", "student", "compressed")
    counts = [count_student_tokens(folder, [row[name] for row in rows]) for name in names]
    return [_look(row, tokens) for row, *tokens in zip(rows, *counts, strict=True)]


def _look(row: Row, tokens: Sequence[int | None]) -> Row:
    flags: tuple[str, ...] = row["flags"]
    check = next((flag for flag in flags if flag.startswith((PRESERVED, KEPT, NOT_PRESERVED))), "")
    preserved = check.startswith(PRESERVED) if check else None
    if row["origin"] != RationaleOrigin.COMPRESSED.value:
        check = f"{row['origin']}, {check or 'not checked'}"
    return {**row, "tokens": tuple(tokens), "check": check or "not checked", "preserved": preserved}


def find_tokenizer(run: Run) -> str:
    """Where the student's tokenizer lies: with a trained stage, which brings it, else with the base model."""
    trained = next(Path(run.folder).glob("*/adapter/tokenizer.json"), None)
    model = run.plan.student.model
    return str(trained.parent if trained else packaged_student_folder() if model == "packaged" else model)


def count_student_tokens(folder: str, texts: Sequence[str | None]) -> list[int | None]:
    """Lengths by the tokenizer in a folder; None where there is no text, or no tokenizer on this machine."""
    counter = find_in_files(folder)
    if counter is None:
        return [None] * len(texts)
    keys = [(folder, hash(text)) for text in texts]
    lengths = {key: length for key in keys if (length := _LENGTHS.get(key)) is not None}
    new = {key: text for key, text in zip(keys, texts, strict=True) if text is not None and key not in lengths}
    lengths |= dict(zip(new, counter.lengths(list(new.values())), strict=True))
    if len(_LENGTHS) > _MOST_LENGTHS:
        _LENGTHS.clear()
    _LENGTHS.update(lengths)
    return [None if text is None else lengths[key] for key, text in zip(keys, texts, strict=True)]


def _median(values: Sequence[int | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(median(known)) if known else None


def _known_only(sought: Sought) -> Sought:
    """What is no filter or order counts as none."""
    return Sought(
        sought.text, sought.which if sought.which in FILTERS else "all", sought.sort if sought.sort in SORTS else ""
    )


def _look_over(rows: Sequence[Row]) -> tuple[RationaleMeasures, Counts]:
    checks = [row["check"].removeprefix(f"{row['origin']}, ") for row in rows]
    kept = [check.startswith(KEPT) for check in checks]
    measured = RationaleMeasures(
        [row["sample"] for row in rows],
        [row["tokens"][0] for row in rows],
        [row["tokens"][2] for row in rows],
        [check.startswith(NOT_PRESERVED) or any(one in check for one in _UNLIKE) for check in checks],
        kept,
    )
    checked = [row["preserved"] for row in rows if row["preserved"] is not None]
    counts = Counts(
        rationales=len(rows),
        original_tokens=_median(measured.long),
        compressed_tokens=_median(measured.short),
        preserved=sum(checked),
        checked=len(checked),
        kept_original=sum(row["check"].startswith(KEPT) for row in rows),
        led=sum(f"{WITH}{SAME}" in row["flags"] for row in rows),
        unaided=sum(f"{WITHOUT}{SAME}" in row["flags"] for row in rows),
    )
    return measured, counts
