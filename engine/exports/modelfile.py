"""A Modelfile, by which Ollama runs a GGUF file as the student was trained to be asked.

https://docs.ollama.com/modelfile
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.exports.base import PromptFrame

SYSTEM, PROMPT, RESPONSE = "{{ .System }}", "{{ .Prompt }}", "{{ .Response }}"
_MARKS = {"system": "\u2042system\u2042", "query": "\u2042query\u2042", "answer": "\u2042answer\u2042"}


@dataclass(frozen=True)
class Template:
    """A chat template for one turn, cut at what is filled in: `head` SYSTEM `middle` PROMPT `tail` RESPONSE `end`."""

    head: str
    middle: str
    tail: str
    end: str

    def render(self, system: str, prompt: str) -> str:
        """The text that the student is given."""
        return f"{self.head}{system}{self.middle}{prompt}{self.tail}"


def mark_turns(asking: PromptFrame) -> tuple[tuple[str, str], tuple[str, str], tuple[str, str]]:
    """A turn whose texts are marks, for a chat template to write; `cut_template` finds them again."""
    user = f"{asking.before}{_MARKS['query']}{asking.behind}"
    return ("system", _MARKS["system"]), ("user", user), ("assistant", _MARKS["answer"])


def cut_template(asked: str, answered: str) -> Template | None:
    """The template of what a chat template made of `mark_turns`: before the answer, and with it.

    None where it can't be cut so: it leaves the system message out, say, or would mean something to Ollama.
    """
    if any(asked.count(_MARKS[name]) != 1 for name in ("system", "query")) or '"""' in asked or "{{" in asked:
        return None
    head, rest = asked.split(_MARKS["system"])
    middle, separator, tail = rest.partition(_MARKS["query"])
    end = answered.partition(_MARKS["answer"])[2]
    return Template(head, middle, tail, end) if separator and '"""' not in end and "{{" not in end else None


def write_modelfile(file: str, asking: PromptFrame, template: Template | None, stops: tuple[str, ...]) -> str:
    """The Modelfile: greedy, with nothing that Ollama would add by itself."""
    lines = [f"FROM ./{file}"]
    if template is not None:
        text = f"{template.head}{SYSTEM}{template.middle}{PROMPT}{template.tail}{RESPONSE}{template.end}"
        lines.append(f'TEMPLATE """{text}"""')
    lines.append(f'SYSTEM """{asking.system}"""')
    lines += [f"PARAMETER stop {_quote(stop)}" for stop in stops]
    lines += ["PARAMETER temperature 0", "PARAMETER repeat_penalty 1.0", f"PARAMETER num_predict {asking.max_tokens}"]
    return "\n".join(lines) + "\n"


def _quote(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'
