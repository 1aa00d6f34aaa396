"""Settings, validated on the way in: of students, their training, projects and teachers. Unknown names are errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine.errors import ConfigError
from engine.keys import LISTED, PATTERN, can_hold_key
from engine.places import ModelName
from engine.values import Sampling, TeacherSpec, hash_id
from engine.wording import say_wrong


class Config(BaseModel):
    """Base of all settings: frozen, nothing unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @property
    def fingerprint(self) -> str:
        """Hash of the settings' content."""
        return hash_id(type(self).__name__, self.model_dump(mode="json"))


ConfigT = TypeVar("ConfigT", bound=Config)


def read_config(model: type[ConfigT], values: Mapping[str, Any], context: Mapping[str, Any] | None = None) -> ConfigT:
    """Validate settings; `context` is what their validators may need to know.

    Raises:
        ConfigError: one line a wrong setting.
    """
    try:
        return model.model_validate(values, context=context)
    except ValidationError as error:
        raise ConfigError("; ".join(say_wrong(model, wrong) for wrong in error.errors())) from None


class TrainConfig(Config):
    """One LoRA stage. Defaults are the paper's where it states them (rank, rate, batch, epochs, context).

    `tokens` are those that the student reads in training, of prompts and completions, without padding; as many updates
    are made as come nearest to it.
    """

    epochs: float = Field(4, gt=0)
    updates: int | None = Field(None, gt=0, description="overrides epochs")
    tokens: int | None = Field(None, gt=0, description="overrides epochs and updates")
    learning_rate: float = Field(1e-5, gt=0)
    batch_size: int = Field(8, gt=0)
    max_tokens: int = Field(4096, gt=1)
    warmup: float = Field(0.03, ge=0, lt=1)
    mask_prompt: bool = True
    loss: str = Field("likelihood", max_length=100)
    validation: float = Field(0.05, ge=0, lt=1)
    save_every: int = Field(50, gt=0)


class LoraSettings(Config):
    """The adapter. Rank 8 is the paper's; alpha, targets and dropout are ours."""

    rank: int = Field(8, gt=0)
    alpha: int = Field(16, gt=0)
    dropout: float = Field(0, ge=0, lt=1)


class StudentConfig(Config):
    """The student model: `packaged` is the SmolLM2-135M-Instruct that the project installs.

    `four_bit`: the base is held in 4 bits while an adapter is trained on it (QLoRA); it writes in its own format.
    """

    model: ModelName = "packaged"
    revision: str = "main"
    lora: LoraSettings = LoraSettings()
    seed: int = 0
    generate_tokens: int = Field(2048, gt=0)
    generate_batch: int = Field(48, gt=0)
    four_bit: bool = False


class ReplaySource(Config):
    """Rows of an earlier stage that are mixed into a later one."""

    dataset: str = Field(max_length=100)
    share: float = Field(gt=0, le=1, description="share of that dataset's rows")


class ProjectConfig(Config):
    """What a project is about."""

    name: str = Field(min_length=1, max_length=100)
    task: str = Field(min_length=1, max_length=100)
    embedder: ModelName = "auto"
    margin: float = Field(0.02, ge=0, le=1, description="how far below the best a shorter student to ship may lie")


MOST_PRICE = 100_000.0
"""US dollars a million tokens: ten cents a token, far above any that is asked."""


class TeacherConfig(Config):
    """A hosted or local teacher as a user describes it; `to_spec` checks it as a whole.

    `key_variable` is the name of an environment variable that may hold a key, never a key.
    """

    name: str = Field(min_length=1, max_length=60, pattern=r"^[\w.\- ]+$")
    provider: Literal["openai", "mistral", "local", "scripted"]
    model: str = Field(min_length=1, max_length=300)
    endpoint: str = Field("", max_length=500)
    key_variable: str | None = Field(None, pattern=PATTERN)
    temperature: float = Field(0.0, ge=0, le=2)
    top_p: float = Field(0.95, gt=0, le=1)
    max_tokens: int = Field(2048, gt=0, le=200_000)
    concurrency: int = Field(8, ge=1, le=1000)
    draws: int = Field(1, ge=1, le=100)
    requests_per_minute: int | None = Field(None, gt=0)
    tokens_per_minute: int | None = Field(None, gt=0)
    timeout_s: float = Field(120.0, gt=0, le=3600)
    input_price: float | None = Field(None, ge=0, le=MOST_PRICE)
    output_price: float | None = Field(None, ge=0, le=MOST_PRICE)

    @model_validator(mode="after")
    def _fits_together(self) -> TeacherConfig:
        if self.key_variable and not can_hold_key(self.key_variable):
            raise ValueError(  # without the name: it may be a key that was typed into the wrong field
                f"the key environment variable must end in _API_KEY or _TOKEN; {LISTED} in the server's environment "
                "allows others"
            )
        if self.endpoint:
            url = urlsplit(self.endpoint)
            if url.scheme not in ("http", "https") or not url.hostname:
                raise ValueError("the endpoint must be a URL as http://127.0.0.1:8000/v1")
            if url.username or url.password or url.query:
                raise ValueError("the endpoint must not hold a key or a password: name a variable of the environment")
        if (self.input_price is None) != (self.output_price is None):
            raise ValueError("give both prices, of input and of output, or neither")
        if self.draws > 1 and self.temperature == 0:
            raise ValueError("several draws at temperature 0 would be the same reply: raise the temperature")
        return self

    def to_spec(self) -> TeacherSpec:
        """The teacher as the engine knows it."""
        values = self.model_dump()
        sampling = Sampling(*(values.pop(name) for name in ("temperature", "top_p", "max_tokens")))
        return TeacherSpec(**{**values, "endpoint": self.endpoint.rstrip("/")}, sampling=sampling)
