"""From a provider's name to its SDK, which is imported only when it is needed."""

from __future__ import annotations

from engine.keys import DEFAULT_VARIABLES
from engine.teachers.hosted import Chat
from engine.values import TeacherSpec

HOSTED = tuple(DEFAULT_VARIABLES)
"""Providers behind an HTTP API."""


def open_chat(spec: TeacherSpec, key: str | None) -> Chat:
    """The SDK of a hosted teacher's provider."""
    if spec.provider == "openai":
        from engine.teachers.openai import OpenAIChat  # noqa: PLC0415

        return OpenAIChat(spec.endpoint, key)
    from engine.teachers.mistral import MistralChat  # noqa: PLC0415

    return MistralChat(spec.endpoint, key)
