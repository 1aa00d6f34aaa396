"""Runs code that nobody has read, and never without a sandbox around it."""

from engine.registry import import_variants
from engine.sandbox.base import (
    PRELUDE,
    SANDBOXES,
    Program,
    ProgramOutcome,
    Ran,
    Sandbox,
    SandboxLimits,
    Status,
    available,
    pick,
    say_missing,
)
from engine.sandbox.harness import run_program, run_programs

__all__ = [
    "PRELUDE",
    "SANDBOXES",
    "Program",
    "ProgramOutcome",
    "Ran",
    "Sandbox",
    "SandboxLimits",
    "Status",
    "available",
    "pick",
    "run_program",
    "run_programs",
    "say_missing",
]

import_variants(__name__, __path__)
