"""Usual ways to reach a teacher: what each provider or server is called, where it answers, what its key is called."""

from __future__ import annotations

from dataclasses import dataclass

from engine.keys import DEFAULT_VARIABLES
from engine.teachers.providers import HOSTED
from engine.values import TeacherSpec

RECORDINGS = "recordings"
COMPATIBLE = "compatible"


@dataclass(frozen=True)
class TeacherPreset:
    """One way to reach a teacher. `endpoint`: "" for the provider's own; `key_variable`: "" where no key is usual."""

    title: str
    provider: str
    endpoint: str = ""
    key_variable: str = ""
    hint: str = ""
    """What a model is called there."""

    @property
    def hosted(self) -> bool:
        """Whether it answers over HTTP: it can be tested, and asked for its models."""
        return self.provider in HOSTED

    @property
    def asks_address(self) -> bool:
        """Whether an address must be given, or may be changed."""
        return self.hosted and (bool(self.endpoint) or not self.key_variable)


PRESETS = {
    "openai": TeacherPreset("OpenAI", "openai", "", DEFAULT_VARIABLES["openai"], "as gpt-4.1-mini"),
    "mistral": TeacherPreset("Mistral", "mistral", "", DEFAULT_VARIABLES["mistral"], "as mistral-small-latest"),
    "huggingface": TeacherPreset(
        "Hugging Face router", "openai", "https://router.huggingface.co/v1", "HF_TOKEN", "as Qwen/Qwen3-32B"
    ),
    "openrouter": TeacherPreset(
        "OpenRouter", "openai", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", "as qwen/qwen3-32b"
    ),
    "ollama": TeacherPreset("Ollama", "openai", "http://127.0.0.1:11434/v1", "", "as qwen3:8b"),
    "vllm": TeacherPreset("vLLM", "openai", "http://127.0.0.1:8000/v1", "", "as the server was started with"),
    "llama-server": TeacherPreset(
        "llama-server (llama.cpp)", "openai", "http://127.0.0.1:8080/v1", "", "any name will do"
    ),
    COMPATIBLE: TeacherPreset("Other OpenAI-compatible server", "openai", "", "", "its name on the server"),
    "local": TeacherPreset("Local model, run by Tacit", "local", "", "", "a folder, or a name on the Hub"),
    RECORDINGS: TeacherPreset("Recordings, from a file", "recorded"),
}
"""By name, in the order in which they are offered."""


def preset_of(spec: TeacherSpec) -> str:
    """The name of the preset that a teacher's provider and address are those of; "" where there is none."""
    same = [name for name, preset in PRESETS.items() if preset.provider == spec.provider]
    exact = [name for name in same if PRESETS[name].endpoint == spec.endpoint]
    return (exact[:1] or same[-1:] or [""])[0]
