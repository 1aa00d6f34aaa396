"""The demo's recipe: how many puzzles, and how TwT and Standard KD are trained on them.

Found on other seeds than the demo's own, so none of its held-out queries took part (DECISIONS.md tells what was tried).
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.config import StudentConfig, TrainConfig
from engine.plans import Plan
from engine.plans.standard_kd import with_standard_kd
from engine.plans.twt import twt_plan
from engine.selection.settings import dcrs

SEED = 20261121
_RATE = 1e-3


@dataclass(frozen=True)
class Puzzles:
    """A project of generated puzzles: how many there are to distill from, and how many are held out."""

    project: str
    queries: int
    heldout: int


@dataclass(frozen=True)
class Recipe(Puzzles):
    """Sizes and settings of one demo."""

    plan: Plan


def _stage(epochs: float, batch_size: int = 8) -> TrainConfig:
    return TrainConfig(
        epochs=epochs, learning_rate=_RATE, batch_size=batch_size, max_tokens=512, validation=0, save_every=60
    )


def _student(generate_tokens: int) -> StudentConfig:
    return StudentConfig(generate_tokens=generate_tokens, generate_batch=48)


SELECTION = dcrs(threshold=0.95, disagreement="majority")

FULL = Recipe(
    project="demo",
    queries=300,
    heldout=1002,
    plan=with_standard_kd(twt_plan(_student(96), (_stage(2, 4), _stage(1, 4), _stage(4, 4)), shots=3)),
)

FAST = Recipe(
    project="demo-fast",
    queries=48,
    heldout=24,
    plan=with_standard_kd(twt_plan(_student(96), (_stage(1), _stage(1), _stage(2)), shots=2)),
)
