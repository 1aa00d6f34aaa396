"""The gateway that the studio started: how it stands, its key, how a program asks it."""

from __future__ import annotations

from html import escape

from app.usecases.serving.child import ChildState
from app.web.parts.code import code_html
from app.web.parts.messages import notice_html
from app.web.parts.tiles import badge_html

VARIABLE = "TACIT_KEY"
"""Where the snippet looks for the key."""
_ABOUT = (
    "Serves the policy chosen above, with OpenAI's API, to programs on this machine, as long as the studio runs. For "
    "other machines, shadowing and a students' server of its own, start it by the command."
)


def state_html(state: ChildState) -> str:
    """What is to be known of it now: that there is none, that it starts, where it is open, or why it ended."""
    if state.state == "none":
        return f"<p class='quiet'>{_ABOUT}</p>"
    if state.state == "starting":
        return notice_html("Starting. The students are being loaded; the address shows here once it is open.")
    if state.state == "ended":
        words = state.words or "It said nothing."
        return notice_html(f"The gateway ended: {words} Nothing was lost; start it again.", bad=True)
    return f"<p class='gateway-at'>{badge_html('Open', 'good')} <code>{escape(state.address)}</code></p>"


def key_html(key: str) -> str:
    """Its key, which is shown this once."""
    return (
        "<p class='quiet'>The key for callers, shown this once: only its hash is stored. It holds until the gateway is "
        f"stopped.</p>{code_html(f'export {VARIABLE}={key}')}"
    )


def use_html(state: ChildState) -> str:
    """How a program asks it, by the SDK of OpenAI; "" where it is not open."""
    if state.state != "open":
        return ""
    code = (
        "import os, openai\n\n"
        f'gateway = openai.OpenAI(\n    base_url="{state.address}",\n    api_key=os.environ["{VARIABLE}"],\n)\n'
        'answer = gateway.chat.completions.create(\n    model="tacit",\n'
        '    messages=[{"role": "user", "content": "Your query"}],\n)\n'
        'print(answer.choices[0].message.content, answer.tacit["rung"])'
    )
    notes = (
        "It serves the policy as it was at its start, when its key was shown: for another one, stop it and start again."
    )
    if len(state.models) > 1:
        notes += f" The models {', '.join(state.models)} are rungs that can be asked alone."
    return f"{code_html(code)}<p class='quiet'>{escape(notes)}</p>"
