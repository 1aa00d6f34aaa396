"""Plans: which steps make a student. TwT, its baselines and ablations are different plans over the same loop."""

from __future__ import annotations

from collections.abc import Sequence

from engine.config import Plan, ReplaySource, Step, StudentConfig, TrainConfig
from engine.errors import ConfigError

PAPER = TrainConfig()
SMALL_STUDENT = TrainConfig(epochs=2, learning_rate=1e-3, max_tokens=1024)
SMOKE = TrainConfig(updates=4, learning_rate=1e-3, max_tokens=1024, validation=0)
TRAIN_PRESETS = {"paper": PAPER, "small-student": SMALL_STUDENT, "smoke": SMOKE}


def twt_plan(
    student: StudentConfig,
    stages: Sequence[TrainConfig],
    replay: tuple[ReplaySource, ...] = (),
    compressor: str | None = None,
    compressed: bool = True,
    shots: int = 4,
) -> Plan:
    """The stages of HaRD on one adapter: [x; r; y], [x; r^T; y], [x; y]; with four, answered and compressed twice.

    Args:
        student: the base model and its adapter.
        stages: settings of the stages, three or more: all but the first and the last learn compressed rationales, each
            those that were compressed toward the student of the stage before it.
        replay: rows of earlier stages mixed into the last one.
        compressor: the live teacher that compresses, where the teachers are recordings.
        shots: worked examples in the few-shot prompt of the untrained student.
        compressed: False leaves the compressed stages out, as where no live teacher can compress.

    Raises:
        ConfigError: if there are fewer than three stages.
    """
    if len(stages) < 3:
        raise ConfigError(f"TwT has three stages or more: full, compressed and no reasoning; {len(stages)} are given")
    full, *short, bare = stages
    steps = [*_untrained(shots), Step(kind="train", name="stage1", dataset="full", train=full), _score("stage1")]
    last = "stage1"
    for number, train in enumerate(short if compressed else (), 2):
        more = "" if number == 2 else f"-{number - 1}"
        steps += [
            Step(kind="answer", name=f"student-rationales{more}", start=last),
            Step(kind="compress", name=f"compress{more}"),
            Step(kind="review", name=f"review{more}"),
            Step(kind="train", name=f"stage{number}", start=last, dataset="compressed", train=train),
            _score(f"stage{number}"),
        ]
        last = f"stage{number}"
    name = f"stage{len(stages)}"
    steps += [Step(kind="train", name=name, start=last, dataset="label", train=bare, replay=replay), _score(name)]
    return Plan(name="twt", student=student, steps=tuple(steps), compressor=compressor)


def _untrained(shots: int) -> list[Step]:
    """The student before training, zero-shot and few-shot: what anything trained must gain over."""
    return [
        Step(kind="evaluate", name="vanilla"),
        Step(kind="evaluate", name="vanilla-fewshot", shots=shots),
    ]


def _score(name: str) -> Step:
    return Step(kind="evaluate", name=f"evaluate-{name}", start=name)


def with_standard_kd(plan: Plan) -> Plan:
    """Add Standard KD (label only) twice: at the label epochs of stage 3, and at the total updates of all stages."""
    stages = [step for step in plan.steps if step.kind == "train"]
    if not stages:
        raise ConfigError("the plan has no train step to compare with")
    label = stages[-1].train
    steps = (
        *plan.steps,
        Step(kind="train", name="standard-kd", dataset="label", train=label),
        _score("standard-kd"),
        Step(
            kind="train",
            name="standard-kd-equal-updates",
            dataset="label",
            train=label,
            equal_updates_to=tuple(step.name for step in stages),
        ),
        _score("standard-kd-equal-updates"),
    )
    return plan.model_copy(update={"name": f"{plan.name}+standard-kd", "steps": steps})


def standard_kd_plan(student: StudentConfig, train: TrainConfig, shots: int = 4) -> Plan:
    """Standard KD alone, beside the untrained student: the labels of G, nothing else."""
    steps = (
        *_untrained(shots),
        Step(kind="train", name="standard-kd", dataset="label", train=train),
        _score("standard-kd"),
    )
    return Plan(name="standard-kd", student=student, steps=steps)


def share_batch(batch_size: int, processes: int) -> int:
    """How many rows of a batch each process takes, so that all of them together take the batch exactly.

    Raises:
        ConfigError: if the batch can't be shared equally.
    """
    if batch_size % processes:
        fitting = [count for count in range(1, processes + 1) if batch_size % count == 0]
        raise ConfigError(
            f"a batch of {batch_size} rows can't be shared equally by {processes} processes; train on "
            f"{', '.join(map(str, fitting))} of them (TACIT_DEVICES), or take a batch that {processes} divides"
        )
    return batch_size // processes
