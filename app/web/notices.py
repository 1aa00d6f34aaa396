"""Pages that stand alone, for what is not there or not let in: no script, no part of the studio is needed."""

from __future__ import annotations

from html import escape

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2937; --soft: #52607a; --ground: #fff; --go: #2563eb; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #f1f5f9; --soft: #a3b1c6; --ground: #0f172a; --go: #60a5fa; }
}
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem; background: var(--ground);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 34rem; border-top: 3px solid var(--go); padding-top: 1.25rem; }
.name { color: var(--soft); margin: 0; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .25rem 0 .75rem; }
p { margin: 0 0 1rem; overflow-wrap: anywhere; }
a { color: var(--go); text-underline-offset: .2em; }
a:focus-visible { outline: 2px solid var(--go); outline-offset: 3px; }
"""


def notice_html(title: str, message: str, way: str = "") -> str:
    """A whole page: a title, what happened, and a way back to the first page where there is one."""
    link = f"<p><a href='/'>{escape(way)}</a></p>" if way else ""
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)} · Tacit</title><style>{_STYLE}</style></head>"
        f"<body><main><p class='name'>Tacit</p><h1>{escape(title)}</h1><p>{escape(message)}</p>{link}"
        "</main></body></html>"
    )
