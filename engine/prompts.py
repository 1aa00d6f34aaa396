"""Prompt texts: found under `prompts/<role>/<task>.v<N>.md`, rendered by filling `{{ name }}` once, hashed."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from engine.errors import ConfigError, NotFound

PROMPT_FOLDER = Path(__file__).resolve().parent.parent / "prompts"
UNSOUND = "(not sound: "
"""How a compression prompt marks a student rationale that must not serve as a model of length."""

_FRONT = re.compile(r"\A---\n(.*?)\n---\n(.*)\Z", re.DOTALL)
_VARIABLE = re.compile(r"\{\{ (\w+) \}\}")


@dataclass(frozen=True)
class Prompt:
    """One published version of a prompt. `text` has a system part and a user part, split by a line `=====`."""

    role: str
    task: str
    version: int
    variables: tuple[str, ...]
    text: str

    @property
    def hash(self) -> str:
        """SHA-256 of the text, 24 hex digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:24]

    @property
    def name(self) -> str:
        """As in `teacher/choice.v1`."""
        return f"{self.role}/{self.task}.v{self.version}"

    def render(self, **values: str) -> tuple[str, str]:
        """Fill the variables in one pass, so that a value which looks like one stays text.

        Returns:
            The system text and the user text.

        Raises:
            ConfigError: if the values are not exactly the declared variables.
        """
        if set(values) != set(self.variables):
            raise ConfigError(f"prompt {self.name} needs {sorted(self.variables)}, got {sorted(values)}")
        system, _, user = self.text.partition("\n=====\n")

        def fill(part: str) -> str:
            return _VARIABLE.sub(lambda match: values[match[1]], part).strip()

        return fill(system), fill(user)


def make_prompt(role: str, task: str, version: int, text: str) -> Prompt:
    """A person's own version of a prompt: it has the variables of the published one, all of them and no other.

    Raises:
        ConfigError: if it lacks one, or has one that nothing fills.
    """
    variables = load_prompt(role, task).variables
    named = set(_VARIABLE.findall(text))
    lacking, unknown = sorted(set(variables) - named), sorted(named - set(variables))
    if lacking or unknown:
        wrong = [f"lacks {{{{ {name} }}}}" for name in lacking] + [
            f"has {{{{ {n} }}}}, which nothing fills" for n in unknown
        ]
        raise ConfigError(f"the prompt {'; it '.join(wrong)}. Nothing was stored.")
    parts = text.split("\n=====\n")
    if len(parts) != 2 or not parts[1].strip():
        raise ConfigError(
            "the prompt needs one line of five equals signs (=====) between the system part and the user part, and a "
            "user part behind it. Nothing was stored."
        )
    return Prompt(role, task, version, variables, text)


@cache
def load_prompt(role: str, task: str, version: int = 1) -> Prompt:
    """Read one prompt file.

    Raises:
        NotFound: if there is no such file.
        ConfigError: if its front matter and its variables don't match.
    """
    path = PROMPT_FOLDER / role / f"{task}.v{version}.md"
    if not path.is_file():
        raise NotFound(f"there is no prompt {role}/{task}.v{version}")
    match = _FRONT.match(path.read_text("utf-8"))
    if match is None:
        raise ConfigError(f"{path.name} has no front matter")
    variables = tuple(yaml.safe_load(match[1])["variables"])
    if set(_VARIABLE.findall(match[2])) != set(variables):
        raise ConfigError(f"{path.name} declares {sorted(variables)} but uses other variables")
    return Prompt(role, task, version, variables, match[2])
