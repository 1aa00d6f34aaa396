"""Turns what the trainer says into events, marks complete checkpoints, and stops on request."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from engine.ports import EventSink

COMPLETE = "complete"
"""Name of the empty file written into a checkpoint folder after everything else in it."""


class ReportToEvents(TrainerCallback):
    """Emits `metric` events: loss, validation loss, learning rate and tokens a second, by global step."""

    def __init__(self, sink: EventSink, step_name: str, tokens_per_update: float, stop: Callable[[], bool]) -> None:
        """`stop` is asked after every update; when true, the trainer saves a checkpoint and ends."""
        self._sink = sink
        self._name = step_name
        self._tokens = tokens_per_update
        self._stop = stop
        self._since = (0, time.perf_counter())

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start the clock where training starts or resumes."""
        self._since = (state.global_step, time.perf_counter())

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Ask for a checkpoint and the end if the job was cancelled."""
        if self._stop():
            control.should_save = True
            control.should_training_stop = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Pass numbers on."""
        logs = logs or {}
        values = {name: logs[key] for key, name in _NAMES.items() if key in logs}
        if "loss" in values:
            step, now = state.global_step, time.perf_counter()
            done, since = self._since
            self._since = (step, now)
            if step > done and now > since:
                values["tokens_per_second"] = (step - done) * self._tokens / (now - since)
        if values:
            self._sink.emit("metric", step=self._name, update=state.global_step, of=state.max_steps, values=values)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Mark the checkpoint as complete: resuming looks at no other."""
        (Path(str(args.output_dir)) / f"checkpoint-{state.global_step}" / COMPLETE).touch()


_NAMES = {"loss": "loss", "eval_loss": "validation_loss", "learning_rate": "learning_rate", "grad_norm": "grad_norm"}


def last_complete_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end."""
    checkpoints = [path.parent for path in folder.glob(f"checkpoint-*/{COMPLETE}")]
    return max(checkpoints, key=lambda path: int(path.name.split("-")[1]), default=None)
