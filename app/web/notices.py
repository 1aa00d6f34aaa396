"""Pages that stand alone, for what is not there or not let in, and the login: no script, no part of the studio."""

from __future__ import annotations

from html import escape

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2937; --soft: #52607a; --ground: #fff; --go: #2563eb;
  --on-go: #fff; --bad: #b91c1c; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #f1f5f9; --soft: #a3b1c6; --ground: #0f172a; --go: #60a5fa; --on-go: #0f172a;
    --bad: #f87171; }
}
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem; background: var(--ground);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 34rem; border-top: 3px solid var(--go); padding-top: 1.25rem; }
.name { color: var(--soft); margin: 0; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .25rem 0 .75rem; }
p { margin: 0 0 1rem; overflow-wrap: anywhere; }
a { color: var(--go); text-underline-offset: .2em; }
a:focus-visible, input:focus-visible, button:focus-visible { outline: 2px solid var(--go); outline-offset: 3px; }
form { display: grid; gap: 1rem; min-width: min(22rem, 80vw); }
label { display: grid; gap: .25rem; color: var(--soft); }
input { font: inherit; color: var(--ink); background: transparent; border: 1px solid var(--soft); border-radius: 6px;
  padding: .5rem .75rem; width: 100%; }
button { font: inherit; font-weight: 600; color: var(--on-go); background: var(--go); border: 0; border-radius: 6px;
  padding: .6rem .75rem; cursor: pointer; }
.wrong { border-left: 3px solid var(--bad); padding-left: .75rem; }
"""


def notice_html(title: str, message: str, way: str = "") -> str:
    """A whole page: a title, what happened, and a way back to the first page where there is one."""
    link = f"<p><a href='/'>{escape(way)}</a></p>" if way else ""
    return _page_html(title, f"<p>{escape(message)}</p>{link}")


def login_html(action: str, said: str = "") -> str:
    """The login, as a form that is sent to `action`; `said` is why the last try was refused."""
    wrong = f"<p class='wrong' role='alert'>{escape(said)}</p>" if said else ""
    return _page_html(
        "Log in",
        f"{wrong}<form method='post' action='{escape(action, quote=True)}'>"
        "<label>Name<input name='username' autocomplete='username' autocapitalize='none' required autofocus></label>"
        "<label>Password<input name='password' type='password' autocomplete='current-password' required></label>"
        "<button>Log in</button></form>",
    )


def _page_html(title: str, body: str) -> str:
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)} · Tacit</title><style>{_STYLE}</style></head>"
        f"<body><main><p class='name'>Tacit</p><h1>{escape(title)}</h1>{body}</main></body></html>"
    )
