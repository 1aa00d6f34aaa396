"""What the operator of a gateway sets; its options on the command line have the same names."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from engine.config import Config
from engine.keys import PATTERN
from engine.serving.drift import ALPHA, TOLERANCE


class GatewaySettings(Config):
    """How a policy is served.

    Attributes:
        content: what callers get: the label alone, or the rationale and the label as a completion.
        queue: requests that wait for a rung at most; the next one is refused.
        shadow: percent of the students' answers that are compared with the last rung's.
        shadow_max_cost: US dollars of its own for shadowing; None: it takes from `max_cost`.
        max_cost: US dollars that the teacher may cost, over restarts; None: no cap.
        student_url: an OpenAI-compatible server of the students; "": they are loaded here.
        student_model: SYSTEM=MODEL, what a rung is called there; its own name where it is left out.
        student_width: requests that this server is sent at a time.
        sure: probability with which an alarm about agreement is no false one, over all time.
    """

    host: str = Field("127.0.0.1", min_length=1, max_length=253)
    port: int = Field(8800, ge=0, le=65535)
    name: str = Field("", max_length=100)
    content: Literal["label", "full"] = "label"
    queue: int = Field(64, ge=0, le=100_000)
    shadow: float = Field(0, ge=0, le=100)
    shadow_max_cost: float | None = Field(None, ge=0)
    max_cost: float | None = Field(None, ge=0)
    when_teacher_fails: Literal["answer", "refuse"] = "answer"
    student_url: str = Field("", max_length=500)
    student_model: tuple[str, ...] = ()
    student_key: str | None = Field(None, pattern=PATTERN)
    student_width: int = Field(64, ge=1, le=10_000)
    student_timeout: float = Field(60, gt=0, le=3600)
    log_queries: bool = False
    no_key: bool = False
    allow_host: tuple[str, ...] = ()
    tolerance: float = Field(TOLERANCE, ge=0, lt=1)
    sure: float = Field(1 - ALPHA, gt=0, lt=1)

    @model_validator(mode="after")
    def _fits_together(self) -> GatewaySettings:
        if not self.student_url and (self.student_model or self.student_key):
            raise ValueError("--student-model and --student-key belong to --student-url, which is not given")
        if any(not all(part.strip() for part in word.partition("=")[::2]) for word in self.student_model):
            raise ValueError("give --student-model as SYSTEM=MODEL, as stage3=my-lora")
        if self.shadow_max_cost is not None and not self.shadow:
            raise ValueError("--shadow-max-cost belongs to --shadow, which is not given")
        return self

    @property
    def models(self) -> dict[str, str]:
        """What rungs are called at `student_url`, by system."""
        pairs = (word.partition("=") for word in self.student_model)
        return {system.strip(): model.strip() for system, _, model in pairs}
