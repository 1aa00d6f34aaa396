"""Presets of teachers: their addresses and the names of their keys fit together."""

from __future__ import annotations

import pytest

from app.usecases.teachers.connections import Keys
from app.usecases.teachers.presets import PRESETS, preset_of
from app.web.teacher_form import read_settings, words_of
from engine.config import TeacherConfig, read_config
from engine.values import TeacherSpec

LIVE = [name for name, preset in PRESETS.items() if preset.provider != "recorded"]


def spec_of(name: str, **changes: str) -> TeacherSpec:
    preset = PRESETS[name]
    given = {"preset": name, "name": "ann", "model": "m", "endpoint": preset.endpoint} | changes
    return read_config(TeacherConfig, read_settings({**given, "key_variable": preset.key_variable})).to_spec()


@pytest.mark.parametrize("name", LIVE)
def test_a_teacher_of_a_preset_is_told_by_its_address(name: str) -> None:
    other = {"endpoint": "http://10.0.0.1:1/v1"} if name == "compatible" else {}
    spec = spec_of(name, **other)
    assert preset_of(spec) == name


@pytest.mark.parametrize("name", [name for name in LIVE if PRESETS[name].hosted])
def test_the_usual_key_of_a_preset_may_go_to_its_address(name: str) -> None:
    Keys().check(spec_of(name))


def test_other_addresses_are_those_of_a_compatible_server() -> None:
    assert preset_of(spec_of("vllm", endpoint="http://127.0.0.1:8001/v1")) == "compatible"
    assert preset_of(TeacherSpec("old", "recorded", "old", "0a1b")) == "recordings"
    assert preset_of(TeacherSpec("forward", "scripted", "puzzles-forward")) == ""


def test_the_options_of_the_command_are_what_differs_from_the_defaults() -> None:
    given = {"preset": "ollama", "name": "ann", "model": "qwen3:8b", "endpoint": PRESETS["ollama"].endpoint}
    settings = read_settings({**given, "temperature": 0.0, "top_p": 0.9, "draws": 2, "input_price": "$0.5"})
    assert words_of(settings) == [
        *("--provider", "openai", "--model", "qwen3:8b", "--endpoint", "http://127.0.0.1:11434/v1"),
        *("--top-p", "0.9", "--draws", "2", "--input-price", "0.5"),
    ]
