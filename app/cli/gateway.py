"""The commands that serve a policy: `tacit gateway`, `tacit gateway-key`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.options import DEFAULT_WORKSPACE, Workspace, say

_CONTENT = "label: the label alone; full: rationale and answer line."
_QUEUE = "Requests that may wait; further ones are refused with when to come again."
_FAILS = "answer: the student's, marked; refuse: none (503)."
_STUDENT_URL = "OpenAI-compatible server of the students, as http://127.0.0.1:8000/v1; left out: they are loaded here."


def gateway(
    policy: Annotated[Path, typer.Argument(help="File of the policy, as the page Save or `tacit policy` writes it.")],
    host: Annotated[str, typer.Option(help="Any other than this machine's own needs keys.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8800,
    name: Annotated[str, typer.Option(help="Name of the gateway; the project's if left out.")] = "",
    content: Annotated[str, typer.Option(help=_CONTENT)] = "label",
    queue: Annotated[int, typer.Option(min=0, help=_QUEUE)] = 64,
    shadow: Annotated[float, typer.Option(min=0, max=100, help="Percent of students' answers to compare.")] = 0,
    shadow_max_cost: Annotated[str | None, typer.Option(help="US dollars for comparing alone, over restarts.")] = None,
    max_cost: Annotated[str | None, typer.Option(help="US dollars that the teacher may cost, over restarts.")] = None,
    when_teacher_fails: Annotated[str, typer.Option(help=_FAILS)] = "answer",
    student_url: Annotated[str, typer.Option(help=_STUDENT_URL)] = "",
    student_model: Annotated[list[str] | None, typer.Option(help="SYSTEM=MODEL: what a rung is called there.")] = None,
    student_key: Annotated[str | None, typer.Option(help="Environment variable with that server's key.")] = None,
    student_width: Annotated[int, typer.Option(min=1, help="Requests that server is sent at a time.")] = 64,
    student_timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for a student's answer.")] = 60,
    tolerance: Annotated[
        float, typer.Option(min=0, max=0.99, help="Agreement that may be lost before an alarm.")
    ] = 0.05,
    sure: Annotated[float, typer.Option(min=0.5, max=0.9999, help="That an alarm is no false one.")] = 0.95,
    log_queries: Annotated[
        bool, typer.Option("--log-queries", help="Keep queries, to be taken into the project.")
    ] = False,
    new_key: Annotated[bool, typer.Option("--new-key", help="Make a key for callers, and print it once.")] = False,
    no_key: Annotated[bool, typer.Option("--no-key", help="Callers on this machine need none.")] = False,
    allow_host: Annotated[
        list[str] | None, typer.Option(envvar="TACIT_ALLOWED_HOSTS", help="A further name that it is reached by.")
    ] = None,
    print_vllm: Annotated[
        bool, typer.Option("--print-vllm", help="Print how vLLM serves the students; start nothing.")
    ] = False,
    with_parent: Annotated[bool, typer.Option("--with-parent", help="End when standard input is closed.")] = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Serve a policy's ladder of students and teacher with an OpenAI-compatible API."""
    _serve(dict(locals()))  # options have the names of the settings' fields


def _serve(given: dict[str, Any]) -> None:
    import logging

    from app.gateway.server import end_with_input, run_gateway
    from app.gateway.service import open_gateway
    from app.gateway.settings import GatewaySettings
    from app.gateway.students import vllm_commands
    from app.usecases.labelling.label import read_money
    from app.usecases.serving.keys import make_key
    from engine.config import read_config
    from engine.serving.policy import read_policy

    if given["with_parent"]:
        end_with_input()
    policy = read_policy(given["policy"])
    if given["print_vllm"]:
        for line in vllm_commands(policy, given["workspace"]):
            say(line)
        return
    asked = {name: value for name, value in given.items() if name in GatewaySettings.model_fields and value is not None}
    for amount in ("max_cost", "shadow_max_cost"):
        read = read_money(asked.pop(amount, None))
        asked |= {} if read is None else {amount: float(read)}
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    opened = open_gateway(policy, read_config(GatewaySettings, asked), given["workspace"])
    if given["new_key"]:
        say(f"A key for callers, which is shown this once: {make_key(opened.folder)}")
    run_gateway(opened, say)


def gateway_key(
    name: Annotated[str, typer.Argument(help="Name of the gateway, as its project's.")],
    caller: Annotated[str, typer.Option("--for", help="Who is to use the key; numbered if left out.")] = "",
    revoke: Annotated[str | None, typer.Option(help="Take this caller's key back, and make none.")] = None,
    listing: Annotated[bool, typer.Option("--list", help="Whose keys there are; make none.")] = False,
    workspace: Workspace = DEFAULT_WORKSPACE,
) -> None:
    """Make a key for callers of a gateway, and print it once; only its hash is stored."""
    from app.usecases.serving.folder import gateway_folder, make_name
    from app.usecases.serving.keys import make_key, read_keys, revoke_key

    folder = gateway_folder(workspace, make_name(name))
    if listing:
        for key in read_keys(folder):
            say(f"{key.name}  {key.made}")
    elif revoke is not None:
        revoke_key(folder, revoke)
        say(f"the key of {revoke} is revoked; a running gateway notices within a second")
    else:
        say(make_key(folder, caller))
