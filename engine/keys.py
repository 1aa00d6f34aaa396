"""Whom a key may be sent to: which variables can hold a teacher's key, and the addresses each is for.

The environment of a server holds more than keys of teachers, and whoever describes a teacher chooses its address. So
only variables that are named like keys are read, those of known providers go to these providers only, and an operator
says the rest in `TACIT_KEY_VARIABLES`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from engine.errors import ConfigError

LISTED = "TACIT_KEY_VARIABLES"
"""The operator's own list: NAME, or NAME=https://address for each address that it may go to; commas between them."""
PATTERN = r"^[A-Z_][A-Z0-9_]{0,99}$"
DEFAULT_VARIABLES = {"openai": "OPENAI_API_KEY", "mistral": "MISTRAL_API_KEY"}
_OWN = {"openai": "https://api.openai.com", "mistral": "https://api.mistral.ai"}
_ENDINGS = ("_API_KEY", "_TOKEN")
_PORTS = {"http": 80, "https": 443}
_HUGGING_FACE = ("https://router.huggingface.co", "https://api-inference.huggingface.co", "https://huggingface.co")
PROVIDERS: Mapping[str, tuple[str, ...]] = {
    "OPENAI_API_KEY": ("https://api.openai.com", "https://eu.api.openai.com", "https://us.api.openai.com"),
    "MISTRAL_API_KEY": ("https://api.mistral.ai", "https://codestral.mistral.ai"),
    "HF_TOKEN": _HUGGING_FACE,
    "HUGGING_FACE_HUB_TOKEN": _HUGGING_FACE,
    "ANTHROPIC_API_KEY": ("https://api.anthropic.com",),
    "CEREBRAS_API_KEY": ("https://api.cerebras.ai",),
    "COHERE_API_KEY": ("https://api.cohere.com", "https://api.cohere.ai"),
    "DEEPSEEK_API_KEY": ("https://api.deepseek.com",),
    "FIREWORKS_API_KEY": ("https://api.fireworks.ai",),
    "GEMINI_API_KEY": ("https://generativelanguage.googleapis.com",),
    "GOOGLE_API_KEY": ("https://generativelanguage.googleapis.com",),
    "GITHUB_TOKEN": ("https://models.github.ai", "https://models.inference.ai.azure.com"),
    "GROQ_API_KEY": ("https://api.groq.com",),
    "NVIDIA_API_KEY": ("https://integrate.api.nvidia.com",),
    "OPENROUTER_API_KEY": ("https://openrouter.ai",),
    "PERPLEXITY_API_KEY": ("https://api.perplexity.ai",),
    "TOGETHER_API_KEY": ("https://api.together.xyz", "https://api.together.ai"),
    "XAI_API_KEY": ("https://api.x.ai",),
}
"""Variables that the documentation of providers names, and where their APIs are (base URLs without the path)."""


def can_hold_key(variable: str) -> bool:
    """Whether a variable may hold a teacher's key.

    Raises:
        ConfigError: if the operator's list can't be read.
    """
    named = re.fullmatch(PATTERN, variable) is not None
    return named and (variable.endswith(_ENDINGS) or variable in listed())


def listed() -> dict[str, set[str]]:
    """The operator's variables, each with the addresses it is bound to; none: as variables that are not listed.

    Raises:
        ConfigError: if the list can't be read.
    """
    addresses: dict[str, set[str]] = {}
    for entry in filter(None, re.split(r"[,\s]+", os.environ.get(LISTED, ""))):
        variable, _, endpoint = entry.partition("=")
        address = address_of(endpoint) if endpoint else ""
        if not re.fullmatch(PATTERN, variable) or address is None:
            raise ConfigError(f"{LISTED}: give NAME, or NAME=https://address for each address, with commas between")
        addresses.setdefault(variable, set()).update(filter(None, [address]))
    return addresses


def address_of(endpoint: str) -> str | None:
    """Scheme, host and port of a URL, the port left out where it is the scheme's own; None if it is none."""
    try:
        url = urlsplit(endpoint)
        port = url.port
    except ValueError:
        return None
    if url.scheme not in _PORTS or not url.hostname:
        return None
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return f"{url.scheme}://{host}" + (f":{port}" if port and port != _PORTS[url.scheme] else "")


def sent_to(provider: str, endpoint: str) -> str | None:
    """The address that a teacher's key is sent to: its endpoint's, else the provider's own."""
    return address_of(endpoint) if endpoint else _OWN.get(provider)
