"""Selection: embeds what has no vector yet (in a worker), decides on arrays, stores every decision."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from app.usecases.selection.behaviour import check_settled, settle_keys
from app.usecases.selection.loaded_samples import LoadedSamples, gather_input
from app.usecases.selection.presets import Begun, find_preset
from app.usecases.selection.tallies import count_kept
from app.usecases.workspace.context import Context
from engine.errors import InputError, NotFound, StateError
from engine.jobs.spec import EmbedJob
from engine.lines import write_lines
from engine.packaged import PACKAGED_EMBEDDER, PAPER_EMBEDDER
from engine.plans import Plan
from engine.records import MAX_CELL
from engine.selection.arrays import REASONS, Selection
from engine.selection.overviews import Sweep, sweep_threshold
from engine.selection.select import apply_decisions, select
from engine.selection.settings import SelectionConfig
from engine.tasks import get_task
from engine.values import COST, Event, Job, hash_id, hash_list
from storage.overrules import Decided, Decision
from storage.projects import Project
from storage.sample_arrays import SampleArrays
from storage.selections import StoredSelection

_BINS, _PREVIEWS, _STEPS, _PART = 50, 20, 61, 250_000


@dataclass(frozen=True)
class SelectionPreview:
    """The numbers of a selection, each teacher's confidences in 50 bins from 0 to 1, and what other thresholds keep.

    `sweep` is None where no rule reads confidences, or none is known.
    """

    counts: dict[str, Any]
    histogram: dict[str, list[int]]
    sweep: Sweep | None


@dataclass(frozen=True)
class SelectService:
    """Use cases of selection."""

    context: Context
    loaded: dict[str, LoadedSamples] = field(default_factory=dict)
    decided: dict[tuple[str, int, int], Decided] = field(default_factory=dict)
    previews: dict[str, SelectionPreview] = field(default_factory=dict)
    chosen: dict[str, tuple[LoadedSamples, Selection]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def select(
        self, project_name: str, config: SelectionConfig, on_event: Callable[[Event], None] = lambda event: None
    ) -> StoredSelection:
        """Select, apply what a person decided over it, and store.

        Moving a weight or the threshold calls no teacher and embeds nothing again.

        Raises:
            StateError: if there are no samples.
            ConfigError: if a weight names no factor of the task.
            MissingPart: if the task runs answers and there is no sandbox here.
        """
        project = self.context.projects.get(project_name)
        settle_keys(self.context, project, on_event)
        if config.needs_vectors:
            self._embed(project, on_event)
        with self.lock:
            return self._store(project, config)

    def select_for(self, project_name: str, plan: Plan) -> StoredSelection:
        """What a plan trains on: the project's newest selection, or the plan's own, which is stored apart from it.

        Raises as `select`.

        Raises:
            NotFound: if the plan brings none and nothing was selected yet.
        """
        project = self.context.projects.get(project_name)
        if plan.selection is None:
            return self.context.selections.latest(project.id)
        settle_keys(self.context, project, lambda event: None)
        if plan.selection.needs_vectors:
            self._embed(project, lambda event: None)
        with self.lock:
            return self._store(project, plan.selection, of_plan=True)

    def _store(self, project: Project, config: SelectionConfig, of_plan: bool = False) -> StoredSelection:
        """Select and store. Other decisions make another selection: what a run was built on stays as it was."""
        decided = self._decided(project)
        loaded = self._hold(project, config)
        chosen = self._choose(project, loaded, config, decided.actions)
        arrays, embedder = loaded.arrays, loaded.embedder_name
        edits = {sample_id: edit.number for sample_id, edit in decided.edits.items()}
        by_hand = [sorted(changes.items()) for changes in (decided.actions, edits) if changes]
        kept = arrays.id_column.filter(pa.array(chosen.kept))
        edited = [edits[sample_id] for sample_id in kept.to_pylist() if sample_id in edits] if edits else []
        counts = {**count_kept(arrays, chosen, config), "embedder": embedder, "state": list(loaded.state)}
        read = {"evidence": list(loaded.known)} if config.needs_evidence else {}
        stored = StoredSelection(
            id=hash_id(
                "selection", project.id, config.fingerprint, embedder, _hash(arrays.id_column), *read.items(), *by_hand
            ),
            project_id=project.id,
            config=config,
            fingerprint=hash_list(["selected"], _in_parts(kept), [edited] if edited else []),
            counts=counts | read | {"edited": len(edited)},
        )
        self.context.selections.add(stored, _tabulate(arrays, chosen, edits), of_plan)
        return stored

    def preview(self, project_name: str, config: SelectionConfig) -> SelectionPreview:
        """The numbers of a selection that is not stored, from arrays held in memory.

        Raises:
            StateError: if there are no samples, or some rationales have no vector yet.
            ConfigError: if a weight names no factor of the task.
        """
        project = self.context.projects.get(project_name)
        key = self._mark(project, config)
        with self.lock:
            if len(self.previews) >= _PREVIEWS:
                self.previews.clear()
            return self.previews.get(key) or self.previews.setdefault(key, self._preview(project_name, config))

    def _preview(self, project_name: str, config: SelectionConfig) -> SelectionPreview:
        loaded, chosen = self.choose(project_name, config)
        shares: dict[str, list[int]] = {}
        for code, teacher in enumerate(loaded.arrays.sources):
            values = chosen.confidence[loaded.arrays.teacher == code]
            shares[teacher] = np.histogram(values[~np.isnan(values)], _BINS, (0.0, 1.0))[0].tolist()
        return SelectionPreview(count_kept(loaded.arrays, chosen, config), shares, _sweep(loaded, chosen, config))

    def _mark(self, project: Project, config: SelectionConfig) -> str:
        """What tells one preview from another."""
        known = self.context.evidence.state(project.id)
        marks = (*self.context.samples.state(project.id), *known, *self.context.overrules.mark(project.id))
        return f"{project.id} {config.fingerprint} {marks} {self.embedders(project)}"

    def choose(self, project_name: str, config: SelectionConfig) -> tuple[LoadedSamples, Selection]:
        """The samples and what is decided for each, a person's decisions over it; the last is remembered.

        Raises as `preview`.
        """
        project = self.context.projects.get(project_name)
        key = self._mark(project, config)
        with self.lock:
            if key not in self.chosen:
                loaded = self._hold(project, config)
                result = loaded, self._choose(project, loaded, config, self._decided(project).actions)
                self.chosen.clear()
                self.chosen[key] = result
            return self.chosen[key]

    def _decided(self, project: Project) -> Decided:
        """The decisions that count, read anew only where there are others."""
        mark = (project.id, *self.context.overrules.mark(project.id))
        decisions = self.decided.get(mark)
        if decisions is None:
            decisions = self.context.overrules.current(project.id)
            self.decided.clear()
            self.decided[mark] = decisions
        return decisions

    def apply(self, project_name: str, loaded: LoadedSamples, config: SelectionConfig) -> Selection:
        """What other settings decide for samples in memory, whatever a person decided."""
        return self._choose(self.context.projects.get(project_name), loaded, config, {})

    def _choose(
        self, project: Project, loaded: LoadedSamples, config: SelectionConfig, decided: dict[str, str]
    ) -> Selection:
        samples = gather_input(self.context, project, loaded, config)
        chosen = select(samples, config)
        return apply_decisions(chosen, loaded.arrays.ids, decided) if decided else chosen

    def hold(self, project_name: str, config: SelectionConfig) -> LoadedSamples:
        """The project's samples in memory, with vectors where the settings' method needs them. Raises as `preview`."""
        return self._hold(self.context.projects.get(project_name), config)

    def has_samples(self, project_name: str) -> bool:
        """Whether anything can be selected from."""
        return self.context.samples.state(self.context.projects.get(project_name).id)[0] > 0

    def is_selected(self, project_id: str) -> bool:
        """Whether there is a stored selection, which a person may decide over."""
        try:
            self.context.selections.latest(project_id)
        except NotFound:
            return False
        return True

    def can_undo(self, project_id: str) -> bool:
        """Whether a person decided anything that still counts."""
        return self.context.overrules.counting(project_id) > 0

    def preset(self, project_name: str) -> Begun:
        """The settings that a project begins with."""
        return find_preset(self.context, self.context.projects.get(project_name))

    def begin(self, project_name: str) -> Begun:
        """The settings of the newest selection; where there is none, those that the project begins with."""
        try:
            return Begun("", self.context.selections.latest(self.context.projects.get(project_name).id).config)
        except NotFound:
            return self.preset(project_name)

    def _hold(self, project: Project, config: SelectionConfig) -> LoadedSamples:
        """The project's samples and vectors as arrays, read anew only where something changed."""
        state, known = self.context.samples.state(project.id), self.context.evidence.state(project.id)
        key = f"{project.id} {config.needs_vectors} {config.needs_costs} {self.embedders(project)}"
        loaded = self.loaded.get(key)
        if loaded is not None and loaded.state == state and loaded.known == known:
            return loaded
        evidence = self.context.evidence.columns(project.id) if known[0] else {}
        if config.needs_costs:
            evidence |= {COST: self.context.ledger.sample_costs(project.id)}
        if loaded is not None and loaded.state == state:
            loaded = replace(loaded, known=known, evidence=evidence, factors={})
        else:
            loaded = self._read(project, config, state)
            loaded = replace(loaded, known=known, evidence=evidence)
        self.loaded.clear()
        self.loaded[key] = loaded
        return loaded

    def _read(self, project: Project, config: SelectionConfig, state: tuple[int, int]) -> LoadedSamples:
        arrays = self.context.samples.arrays(project.id, get_task(project.config.task).factors)
        if not len(arrays):
            raise _no_samples(project)
        check_settled(self.context, project)
        if not config.needs_vectors:
            return LoadedSamples(project.id, state, arrays, None, None)
        for embedder in self.embedders(project):
            cosines = self.context.samples.cosines.find(project.id, embedder, arrays)
            if cosines is not None:
                return LoadedSamples(project.id, state, arrays, cosines, embedder)
        raise StateError("some rationales have no vector yet; selecting embeds them")

    def overrule(self, project_name: str, sample_ids: Sequence[str], action: Literal["keep", "drop"]) -> None:
        """Keep or drop samples, whatever the selection said. Raises as `decide`."""
        self.decide(project_name, [Decision(sample_id, action) for sample_id in sample_ids])

    def swap(self, project_name: str, sample_id: str, instead_of: str) -> None:
        """Keep one sample in the place of another. Raises as `decide`.

        Raises:
            InputError: if both are the same.
        """
        if sample_id == instead_of:
            raise InputError("a sample can't take its own place; choose which one it stands in for")
        self.decide(project_name, [Decision(sample_id, "keep"), Decision(instead_of, "drop")])

    def edit(self, project_name: str, sample_id: str, text: str, seen: int) -> int:
        """Put a rationale of one's own in the place of the teacher's, which stays; the pair is not chosen anew by it.

        `seen` is the number of the edit that was shown (0: the teacher's own text); returns the new edit's. Raises as
        `decide`.

        Raises:
            InputError: if the text is empty or too long.
            Conflict: if the sample was edited since; then nothing is stored.
        """
        if not text.strip():
            raise InputError("the rationale is empty; drop the sample if it is not to be taught")
        if len(text) > MAX_CELL:
            raise InputError(f"the rationale has {len(text):,} characters; {MAX_CELL:,} are the most")
        return self.decide(project_name, [Decision(sample_id, "edit", text.strip())], seen)

    def decide(self, project_name: str, decisions: Sequence[Decision], seen: int | None = None) -> int:
        """Record decisions that go together; the newest stored selection is made anew with them.

        Returns the number of the last decision.

        Raises:
            NotFound: if nothing was selected yet; then nothing is decided.
            StateError: if there are samples that were not embedded yet; likewise.
        """
        project = self.context.projects.get(project_name)
        if not decisions:
            raise StateError("no sample matches, so nothing was decided")
        with self.lock:
            config = self.context.selections.latest(project.id).config
            self._hold(project, config)
            number = self.context.overrules.add(project.id, decisions, seen)
            self._store(project, config)
        return number

    def undo(self, project_name: str) -> dict[str, Any] | None:
        """Take the newest decision back; what it was, or None where there is nothing to undo."""
        project = self.context.projects.get(project_name)
        with self.lock:
            config = self.context.selections.latest(project.id).config
            self._hold(project, config)
            undone = self.context.overrules.undo(project.id)
            if undone is not None:
                self._store(project, config)
        return undone

    def _embed(self, project: Project, on_event: Callable[[Event], None]) -> None:
        """See to it that all distillation samples have vectors of one embedder, in a worker where some lack one."""
        for attempt in range(3):
            if not self.context.samples.state(project.id)[0]:
                raise _no_samples(project)
            known = self.embedders(project)
            missing = [self.context.samples.missing_texts(project.id, *embedder) for embedder in known]
            if any(not texts for texts in missing):
                return
            texts = missing[0] if missing and attempt == 0 else self.context.samples.all_texts(project.id)
            self._run_embedder(project, texts, on_event)
        raise StateError("some rationales got no vector; run the selection again")

    def embedders(self, project: Project) -> list[tuple[str, str, int]]:
        """Embedders with vectors of this project's texts that are what the project asks for."""
        asked = project.config.embedder
        wanted = {"packaged": (PACKAGED_EMBEDDER,), "auto": (PAPER_EMBEDDER, PACKAGED_EMBEDDER)}.get(asked, (asked,))
        return [embedder for embedder in self.context.samples.embedders(project.id) if embedder[0] in wanted]

    def _run_embedder(self, project: Project, texts: dict[str, str], on_event: Callable[[Event], None]) -> None:
        run_embedder(self.context, project, list(texts.values()), on_event)


def _sweep(loaded: LoadedSamples, chosen: Selection, config: SelectionConfig) -> Sweep | None:
    """What other thresholds would keep, at those that tell the samples apart and at the one that is set."""
    known = chosen.confidence[~np.isnan(chosen.confidence)]
    if not config.needs_confidence or not len(known):
        return None
    own = [] if config.cut is None else [config.cut]
    thresholds = np.unique([*np.quantile(known, np.linspace(0, 1, _STEPS)).round(4), *own])
    return sweep_threshold(chosen.confidence, loaded.arrays.query, loaded.arrays.label, thresholds)


def _no_samples(project: Project) -> StateError:
    reason = "has no samples yet; label its queries first, or import outputs with `tacit import-outputs`"
    return StateError(f"{project.name!r} {reason}")


def run_embedder(
    context: Context, project: Project, texts: Sequence[str], on_event: Callable[[Event], None] = lambda event: None
) -> Path:
    """Embed texts in a worker with the project's embedder; returns the file of unit vectors (.npy, in their order)."""

    def fill(job: Job) -> EmbedJob:
        file = write_lines(job.path / "texts.jsonl", texts)
        return EmbedJob(embedder=project.config.embedder, file=file, output=job.path / "vectors.npy")

    job = context.submit(project.id, EmbedJob.kind, {}, fill=fill)
    context.wait(job.id, on_event)
    return job.path / "vectors.npy"


def _in_parts(ids: pa.Array) -> Iterator[list[str]]:
    """Ids as strings, a part at a time."""
    return (ids.slice(begin, _PART).to_pylist() for begin in range(0, len(ids), _PART))


def _hash(ids: pa.Array) -> str:
    """What `hash_id` of all ids is."""
    return hash_list([], _in_parts(ids))


def _tabulate(arrays: SampleArrays, chosen: Selection, edits: Mapping[str, int]) -> Iterator[pa.Table]:
    """What was decided, a sample a row, part by part as `Selections.add` takes it."""
    reasons, sources = pa.array([reason.value for reason in REASONS]), pa.array(arrays.sources)
    for begin in range(0, len(arrays), _PART):
        own = slice(begin, begin + _PART)
        ids = arrays.id_column.slice(begin, _PART)
        confidence, similarity = chosen.confidence[own], chosen.similarity[own]
        edited = [edits.get(sample_id) for sample_id in ids.to_pylist()] if edits else [None] * len(ids)
        yield pa.table(
            {
                "sample_id": ids,
                "query_id": arrays.query_column.take(pa.array(arrays.query[own])),
                "teacher": sources.take(pa.array(arrays.teacher[own])),
                "confidence": pa.array(confidence, mask=np.isnan(confidence)),
                "renormalised": pa.array(chosen.renormalised[own]),
                "reason": reasons.take(pa.array(chosen.reason[own])),
                "similarity": pa.array(similarity, mask=np.isnan(similarity)),
                "edit": pa.array(edited, pa.int64()),
            }
        )
