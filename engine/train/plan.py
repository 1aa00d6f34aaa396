"""Plans: which steps make a student. TwT, its baselines and ablations are different plans over the same loop."""

from __future__ import annotations

from engine.config import Plan, ReplaySource, Step, StudentConfig, TrainConfig
from engine.errors import ConfigError

PAPER = TrainConfig()
SMALL_STUDENT = TrainConfig(epochs=2, learning_rate=1e-3, max_tokens=1024)
SMOKE = TrainConfig(updates=4, learning_rate=1e-3, max_tokens=1024, validation=0)
TRAIN_PRESETS = {"paper": PAPER, "small-student": SMALL_STUDENT, "smoke": SMOKE}


def twt_plan(
    student: StudentConfig,
    stages: tuple[TrainConfig, TrainConfig, TrainConfig],
    replay: tuple[ReplaySource, ...] = (),
    compressor: str | None = None,
    compressed: bool = True,
    shots: int = 4,
) -> Plan:
    """The three stages of HaRD on one adapter: [x; r; y], [x; r^T; y], [x; y].

    Args:
        student: the base model and its adapter.
        stages: settings of the three stages.
        replay: rows of earlier stages mixed into stage 3.
        compressor: the live teacher that compresses, where the teachers are recordings.
        shots: worked examples in the few-shot prompt of the untrained student.
        compressed: False leaves stage 2 out, as where no live teacher can compress.
    """
    full, short, bare = stages
    steps = [
        Step(kind="evaluate", name="vanilla"),
        Step(kind="evaluate", name="vanilla-fewshot", shots=shots),
        Step(kind="train", name="stage1", dataset="full", train=full),
        Step(kind="evaluate", name="evaluate-stage1", start="stage1"),
    ]
    last = "stage1"
    if compressed:
        steps += [
            Step(kind="answer", name="student-rationales", start="stage1"),
            Step(kind="compress", name="compress"),
            Step(kind="review", name="review"),
            Step(kind="train", name="stage2", start="stage1", dataset="compressed", train=short),
            Step(kind="evaluate", name="evaluate-stage2", start="stage2"),
        ]
        last = "stage2"
    steps += [
        Step(kind="train", name="stage3", start=last, dataset="label", train=bare, replay=replay),
        Step(kind="evaluate", name="evaluate-stage3", start="stage3"),
    ]
    return Plan(name="twt", student=student, steps=tuple(steps), compressor=compressor)


def with_standard_kd(plan: Plan) -> Plan:
    """Add Standard KD (label only) twice: at the label epochs of stage 3, and at the total updates of all stages."""
    stages = [step for step in plan.steps if step.kind == "train"]
    if not stages:
        raise ConfigError("the plan has no train step to compare with")
    label = stages[-1].train
    steps = (
        *plan.steps,
        Step(kind="train", name="standard-kd", dataset="label", train=label),
        Step(kind="evaluate", name="evaluate-standard-kd", start="standard-kd"),
        Step(
            kind="train",
            name="standard-kd-equal-updates",
            dataset="label",
            train=label,
            equal_updates_to=tuple(step.name for step in stages),
        ),
        Step(kind="evaluate", name="evaluate-standard-kd-equal-updates", start="standard-kd-equal-updates"),
    )
    return plan.model_copy(update={"name": f"{plan.name}+standard-kd", "steps": steps})


def standard_kd_plan(student: StudentConfig, train: TrainConfig) -> Plan:
    """Standard KD alone: the labels of G, nothing else."""
    steps = (
        Step(kind="train", name="standard-kd", dataset="label", train=train),
        Step(kind="evaluate", name="evaluate-standard-kd", start="standard-kd"),
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
