"""Variants that are registered for the length of a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from engine.registry import Registry

Entry = TypeVar("Entry")


@contextmanager
def registered(registry: Registry[Entry], name: str, entry: Entry) -> Iterator[Entry]:
    try:
        yield registry.add(name, entry)
    finally:
        registry._entries.pop(name, None)
