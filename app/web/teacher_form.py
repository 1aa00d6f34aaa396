"""The form of a teacher: its fields by name, which of them a preset asks for, and the settings that they stand for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import gradio as gr

from app.usecases.teachers.presets import PRESETS, RECORDINGS, TeacherPreset
from engine.config import TeacherConfig
from engine.errors import InputError
from engine.wording import bounds_of, range_text

FIELDS = ("preset", *(name for name in TeacherConfig.model_fields if name != "provider"))
"""Names of the fields in their order; the preset stands for the provider."""
OPTIONAL = {
    "requests_per_minute": "Requests per minute",
    "tokens_per_minute": "Tokens per minute",
    "input_price": "Input price ($/M tokens)",
    "output_price": "Output price ($/M tokens)",
}
"""Numbers that may be left empty, by their labels."""
FIRST = next(iter(PRESETS))


def lay_preset() -> Any:
    """The field of the preset."""
    return gr.Dropdown([(preset.title, name) for name, preset in PRESETS.items()], value=FIRST, label="Preset")


def lay_access() -> dict[str, Any]:
    """The fields that say which model answers and where."""
    preset = PRESETS[FIRST]
    with gr.Row():
        fields = {
            "name": gr.Textbox(label="Name", info="as every page calls it", max_length=60, min_width=140),
            "model": gr.Dropdown(
                [], label="Model", info=preset.hint, allow_custom_value=True, interactive=True, min_width=180
            ),
        }
    fields["endpoint"] = gr.Textbox(
        label="Base URL",
        info="the address that ends in /v1",
        placeholder="http://127.0.0.1:8000/v1",
        visible=preset.asks_address,
    )
    return fields


def lay_key_variable() -> Any:
    """The field of the variable that holds the key."""
    return gr.Textbox(
        PRESETS[FIRST].key_variable,
        label="Key environment variable",
        info="ends in _API_KEY or _TOKEN",
        min_width=180,
    )


def lay_limits() -> dict[str, Any]:
    """The fields of sampling, limits and prices."""
    fields: dict[str, Any] = {}
    with gr.Row():
        fields["temperature"] = _number("temperature", "Temperature")
        fields["top_p"] = _number("top_p", "Top p")
        fields["max_tokens"] = _number("max_tokens", "Max reply tokens")
        fields["draws"] = _number("draws", "Samples per query")
    with gr.Row():
        fields["concurrency"] = _number("concurrency", "Max in flight")
        fields["timeout_s"] = _number("timeout_s", "Timeout (s)")
        fields["requests_per_minute"] = _optional("requests_per_minute", "empty: no limit")
        fields["tokens_per_minute"] = _optional("tokens_per_minute", "empty: no limit")
    with gr.Row():
        fields["input_price"] = _optional("input_price", "empty: from the price table")
        fields["output_price"] = _optional("output_price", "empty: from the price table")
    return fields


def _optional(name: str, info: str) -> gr.Textbox:
    """The field of a number that need not be given; one of gradio's number fields would show a zero."""
    return gr.Textbox(label=OPTIONAL[name], info=info, max_length=20, min_width=120)


def _number(name: str, label: str) -> gr.Number:
    """The field of a numeric setting, with the setting's own default and range."""
    setting = TeacherConfig.model_fields[name]
    whole = "int" in str(setting.annotation)
    low, high, above, _ = bounds_of(setting)
    low = 1 if whole and above and low == 0 else low
    precision = 0 if whole else None
    return gr.Number(setting.default, label=label, precision=precision, minimum=low, maximum=high, min_width=110)


def show_access(preset: TeacherPreset, endpoint: str, key_variable: str) -> list[Any]:
    """Of the fields base URL, key variable and key those that a preset asks for, with what they hold."""
    return [
        gr.Textbox(endpoint, visible=preset.asks_address or bool(endpoint)),
        gr.Textbox(key_variable, visible=preset.hosted),
        gr.Textbox("", visible=preset.hosted),
    ]


def fill_fields(settings: Mapping[str, Any] | None, preset: str) -> list[Any]:
    """Values of the fields for a teacher's settings; the defaults where there is no teacher yet."""
    if settings is None:
        defaults = {name: field.get_default() for name, field in TeacherConfig.model_fields.items()}
        settings = {**defaults, "name": "", "model": None, "key_variable": PRESETS[preset].key_variable}
    values = []
    for name in FIELDS:
        if name == "preset":
            values.append(preset)
        elif name == "model":
            model = settings["model"]
            values.append(gr.Dropdown([model] if model else [], value=model, info=PRESETS[preset].hint))
        elif name in ("endpoint", "key_variable"):
            access = show_access(PRESETS[preset], settings["endpoint"], settings["key_variable"] or "")
            values.append(access[0 if name == "endpoint" else 1])
        else:
            values.append(_as_text(settings[name]) if name in OPTIONAL else settings[name])
    return values


def read_settings(named: dict[str, Any]) -> dict[str, Any]:
    """The settings of `TeacherConfig` that were filled in.

    Raises:
        InputError: if no preset is chosen, or a number that may stay empty is none.
    """
    preset = named.get("preset")
    if not isinstance(preset, str) or preset not in PRESETS:
        raise InputError("Choose a preset first.")
    if preset == RECORDINGS:
        raise InputError("Recordings come from a file: use Import outputs.")
    given = {name: value for name, value in named.items() if value not in ("", None) and name != "preset"}
    for name in OPTIONAL.keys() & given.keys():
        given[name] = _read_number(name, str(given[name]))
    return {"provider": PRESETS[preset].provider, **given}


def _read_number(name: str, text: str) -> float:
    """A number that somebody typed where an empty field is allowed too."""
    setting = TeacherConfig.model_fields[name]
    whole, (low, high, above, _) = "int" in str(setting.annotation), bounds_of(setting)
    try:
        number = float(text.strip().removeprefix("$").replace(",", ""))
    except ValueError:
        number = math.nan
    outside = low is not None and (number < low or (above and number == low))
    if not math.isfinite(number) or outside or (high is not None and number > high) or (whole and number % 1):
        kind = "a whole number" if whole else "a number"
        raise InputError(f"{OPTIONAL[name]}: give {kind}{range_text(low, high, above)}, or leave it empty.")
    return int(number) if whole else number


def _as_text(number: float | None) -> str:
    """A number as it is typed; "" where there is none."""
    return "" if number is None else str(number).removesuffix(".0")


def words_of(settings: Mapping[str, Any]) -> list[str]:
    """The options of `tacit teachers add` for settings, without those that are as they are by default."""
    words: list[str] = []
    for name, field in TeacherConfig.model_fields.items():
        if name != "name" and name in settings and settings[name] != field.get_default():
            value = settings[name]
            words += [f"--{name.replace('_', '-')}", f"{value:g}" if isinstance(value, float) else str(value)]
    return words
