"""What a card says of using an exported student: how it is asked, and programs that load or serve it."""

from __future__ import annotations

import json
from typing import Any

from app.usecases.exports.checks import adapter_of, ask_of
from app.usecases.workspace.context import Context
from engine.datasets import DATASETS
from engine.datasets.encode import render_prompt
from engine.datasets.rows import ChatText, student_prompt
from engine.exports import EXPORTERS, PromptFrame, Use
from engine.foreign import fenced, markdown, quoted
from engine.pipeline import prompt_of
from engine.plans import Train
from engine.tasks import get_task
from engine.values import make_query
from storage.projects import Project
from storage.runs import Run

_TOKENS = 256
"""An answer in a snippet has at most so many tokens."""
_LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The ranks that vLLM makes room for."""


def example_prompt(context: Context, project: Project, run: Run, step: str) -> ChatText:
    """The messages that ask a step's student a query of the project."""
    query = context.queries.first(project.id) or make_query("What is 2 + 2?")
    return student_prompt(get_task(project.config.task), query, prompt_of(run.plan, step))


def has_template(run: Run, step: str) -> bool:
    """Whether the student's tokenizer, as far as it lies beside its adapter, has a chat template."""
    folder = adapter_of(run, step)
    if (folder / "chat_template.jinja").is_file():
        return True
    try:
        config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return True
    return bool(config.get("chat_template"))


def load_snippet(context: Context, project: Project, run: Run, step: str, exporter: str, base: str) -> str:
    """Python that loads the exported student of a step and answers a query of the project."""
    prompt, templated = example_prompt(context, project, run, step), has_template(run, step)
    imports, load = EXPORTERS.get(exporter).load
    turns = "\n".join(f"    {message!r}," for message in _list_messages(prompt))
    asked = (
        f"messages = [\n{turns}\n]\n"
        "text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)\n"
        if templated
        else f"text = {render_prompt(None, prompt)!r}\n"
    )
    added = ", add_special_tokens=False" if templated else ""
    return (
        f'{imports}\nfolder = "."  # where this card lies\ntokenizer = {EXPORTERS.get(exporter).tokenizer}\n'
        f"{load.format(base=base)}{asked}"
        f'inputs = tokenizer(text, return_tensors="pt"{added})\n'
        f"written = model.generate(**inputs, max_new_tokens={_limit(run)}, do_sample=False)\n"
        'print(tokenizer.decode(written[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True))\n'
    )


def _list_messages(prompt: ChatText) -> list[dict[str, str]]:
    return [{"role": role, "content": text} for role, text in prompt]


def _limit(run: Run) -> int:
    return min(run.plan.student.generate_tokens, _TOKENS)


def say_asking(context: Context, project: Project, run: Run, step: str) -> str:
    """The section on what the student was trained to be asked, and to answer."""
    asking, task = ask_of(context, run, step), get_task(project.config.task)
    (user,) = [text for role, text in example_prompt(context, project, run, step) if role == "user"]
    trained = run.plan.step(step)
    learned = DATASETS.get(trained.dataset).title if isinstance(trained, Train) else ""
    ended = f" When it was scored, an answer was over at {quoted(repr(asking.until))}." if asking.until else ""
    around = _say_around(asking)
    return (
        "## How to ask it\n\nIt was trained on one turn, without worked examples: a system message, a query, an "
        "answer. Ask it in the same words, greedily (temperature 0, no repetition penalty).\n\n"
        f"System message:\n\n{fenced(asking.system)}\n\n"
        f"{around}A user message, as an example:\n\n{fenced(user)}\n\n"
        f"This stage learned: {markdown(learned)}. An answer ends like this, with the label in place of LABEL:\n\n"
        f"{fenced(task.complete('', 'LABEL'))}\n\n"
        f"It may write up to {asking.max_tokens:,} tokens.{ended}\n"
    )


def _say_around(asking: PromptFrame) -> str:
    if not (asking.before or asking.behind):
        return ""
    asked = quoted(f"{asking.before}QUERY{asking.behind}")
    return f"The query stands in the user's message as {asked}, control words and all.\n\n"


def say_uses(context: Context, project: Project, run: Run, step: str, exporter: str, base: str) -> str:
    """The sections on programs that serve the export, each typed in its folder."""
    rank = next((size for size in _LORA_RANKS if size >= run.plan.student.lora.rank), _LORA_RANKS[-1])
    uses = EXPORTERS.get(exporter).uses
    parts = [
        f"## {use.title}\n\n{fenced(use.text.format(base=base, rank=rank, tokens=_limit(run)), 'sh')}\n"
        + (f"\n{use.note}\n" if use.note else "")
        for use in uses
    ]
    served = [use for use in uses if use.port]
    if served:
        prompt = example_prompt(context, project, run, step)
        asked: dict[str, Any] = {"prompt": render_prompt(None, prompt)}
        if has_template(run, step):
            asked = {"messages": _list_messages(prompt)}
        parts.append(_say_request(served, asked, _limit(run)))
    return "\n".join(parts)


def _say_request(uses: list[Use], asked: dict[str, Any], tokens: int) -> str:
    """A request to a server that speaks the protocol of OpenAI; of a model without chat template, for a completion."""
    body = {"model": uses[0].model, "temperature": 0, "max_tokens": tokens, **asked}
    path = "chat/completions" if "messages" in asked else "completions"
    ports = ", ".join(f"{use.port} for {use.title}" for use in uses)
    command = (
        f"curl http://127.0.0.1:{uses[0].port}/v1/{path} -H 'Content-Type: application/json' -d @- <<'JSON'\n"
        f"{json.dumps(body, indent=2, ensure_ascii=False)}\nJSON"
    )
    return f"## Ask the server\n\nIt speaks the protocol of OpenAI (port {ports}):\n\n{fenced(command, 'sh')}\n"
