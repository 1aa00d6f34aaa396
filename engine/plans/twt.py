"""TwT: the stages of Habitual Reasoning Distillation (arXiv 2503.24198, section 3.2) on one adapter."""

from __future__ import annotations

from collections.abc import Sequence

from engine.compression.teacher_guided import TEACHER_GUIDED
from engine.config import StudentConfig, TrainConfig
from engine.errors import ConfigError
from engine.plans.order import PlanSettings
from engine.plans.registry import PLANS, PlanKind
from engine.plans.steps import Answer, AnyStep, Compress, Evaluate, Plan, Review, Train


def twt_plan(
    student: StudentConfig,
    stages: Sequence[TrainConfig],
    compressor: str | None = None,
    compressed: bool = True,
    shots: int = 4,
    compress_by: str = TEACHER_GUIDED,
) -> Plan:
    """[x; r; y], [x; r^T; y], [x; y]; with four stages, the student answers and teachers compress twice.

    Args:
        student: the base model and its adapter.
        stages: settings of the stages, three or more: all but the first and the last learn compressed rationales, each
            those that were compressed toward the student of the stage before it.
        compressor: the live teacher that compresses, where the teachers are recordings.
        shots: worked examples in the few-shot prompt of the untrained student.
        compress_by: the name of what rewrites.
        compressed: False leaves the compressed stages out, as where no live teacher can compress.

    Raises:
        ConfigError: if there are fewer than three stages.
    """
    if len(stages) < 3:
        raise ConfigError(f"TwT has three stages or more: full, compressed and no reasoning; {len(stages)} are given")
    full, *short, bare = stages
    steps = [*score_untrained(shots), Train(name="stage1", dataset="full", train=full), score("stage1")]
    last = "stage1"
    for number, train in enumerate(short if compressed else (), 2):
        more = "" if number == 2 else f"-{number - 1}"
        steps += [
            Answer(name=f"student-rationales{more}", start=last),
            Compress(name=f"compress{more}", by=compress_by),
            Review(name=f"review{more}"),
            Train(name=f"stage{number}", start=last, dataset="compressed", train=train),
            score(f"stage{number}"),
        ]
        last = f"stage{number}"
    name = f"stage{len(stages)}"
    steps += [Train(name=name, start=last, dataset="label", train=bare), score(name)]
    return Plan(name="twt", student=student, steps=tuple(steps), compressor=compressor)


def score_untrained(shots: int) -> list[AnyStep]:
    """Steps that score the student before training, zero-shot and few-shot: what anything trained must gain over."""
    return [
        Evaluate(name="vanilla", role="untrained"),
        Evaluate(name="vanilla-fewshot", shots=shots, role="untrained", reference=True),
    ]


def score(name: str) -> AnyStep:
    """The step that scores a stage."""
    return Evaluate(name=f"evaluate-{name}", start=name)


def make(settings: PlanSettings) -> Plan:
    """The plan of an order."""
    return twt_plan(
        settings.student,
        settings.stages,
        compressor=settings.compressor,
        compressed=settings.compressed,
        compress_by=settings.compress_by,
    )


PLANS.add(
    "twt",
    PlanKind(
        "TwT",
        "Full, compressed and no reasoning on one adapter (arXiv 2503.24198).",
        make,
        compresses=True,
        systems={"vanilla": "Untrained, zero-shot", "vanilla-fewshot": "Untrained, few-shot", "stage#": "Stage #"},
    ),
)
