"""Look and feel in one place: theme, style sheet, and the colours of teachers and stages in every plot."""

from __future__ import annotations

import gradio as gr

TEACHER_COLOURS = ("#2563eb", "#d97706", "#059669", "#9333ea", "#dc2626", "#0891b2", "#65a30d", "#db2777")


def teacher_colour(names: list[str], name: str) -> str:
    """The colour of a teacher: by its place among the project's teachers in order of name."""
    return TEACHER_COLOURS[sorted(names).index(name) % len(TEACHER_COLOURS)]


_STAGES = {
    "vanilla": "#94a3b8",
    "vanilla-fewshot": "#64748b",
    "stage1": "#2563eb",
    "stage2": "#0891b2",
    "stage3": "#059669",
    "standard-kd": "#d97706",
    "standard-kd-equal-updates": "#b45309",
}


def stage_colour(name: str) -> str:
    """The colour of a stage or a baseline, the same in every plot; teachers and whatever else are violet."""
    return _STAGES.get(name, "#9333ea")


def make_theme() -> gr.themes.Base:
    """One accent, small radii, system fonts (nothing is fetched)."""
    return gr.themes.Base(
        primary_hue="blue",
        neutral_hue="slate",
        radius_size="sm",
        spacing_size="sm",
        text_size="md",
        font=("system-ui", "sans-serif"),
        font_mono=("ui-monospace", "monospace"),
    )


CSS = """
.gradio-container { max-width: 1400px !important; }
.rail a { display: flex; justify-content: space-between; gap: .5rem; padding: .35rem .5rem; border-radius: 4px;
  color: var(--body-text-color); text-decoration: none; }
.rail a:hover, .rail a:focus-visible { background: var(--background-fill-secondary);
  outline: 2px solid var(--color-accent); }
.rail a[aria-current=page] { background: var(--background-fill-secondary); font-weight: 600; }
.rail a > span:first-child { flex: none; }
.rail a span { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.gradio-container button.stop { color: #dc2626; }
.dark button.stop { color: #f87171; }
.rail .number { color: var(--body-text-color-subdued); font-variant-numeric: tabular-nums; font-size: .85em; }
.rail .project { padding: .35rem .5rem; border-bottom: 1px solid var(--border-color-primary); margin-bottom: .4rem;
  overflow-wrap: anywhere; }
body:has(.told.shared) .of-copy { display: none !important; }
.nav-holder { display: none !important; }
.plain { overflow: auto; max-height: 26rem; }
.plain + .plain { margin-top: 1.2rem; }
.plain table { border-collapse: collapse; width: 100%; font-size: .9em; border: 0 !important; margin: 0; }
.plain th, .plain td { text-align: left; padding: .3rem .5rem; vertical-align: top; overflow-wrap: break-word;
  border: 0 !important; border-bottom: 1px solid var(--border-color-primary) !important; }
.plain tr, .plain thead, .plain tbody { border: 0 !important; }
.plain td.short { white-space: nowrap; }
.plain td.wide { min-width: 16rem; }
.plain thead th { position: sticky; top: 0; background: var(--background-fill-primary); }
.plain th { color: var(--body-text-color-subdued); font-weight: 600; white-space: nowrap; }
.plain td.right, .plain th.right { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.plain caption { text-align: left; font-weight: 600; padding: .3rem 0; max-width: calc(100vw - 6rem); }
.secondary-wrap input { padding-right: 2rem !important; text-overflow: ellipsis; }
[data-testid="status-tracker"]:has(> .error) { display: none !important; }
.told { padding: .4rem .6rem; border-left: 3px solid var(--color-accent);
  background: var(--background-fill-secondary); }
.told a { padding: 0; margin: 0; }
.way ol { list-style: none; margin: .4rem 0; padding: 0; }
.way li { display: grid; grid-template-columns: 6.5rem 1fr; gap: .5rem; padding: .3rem 0; margin: 0;
  border-bottom: 1px solid var(--border-color-primary); }
.told.bad { border-left-color: #dc2626; }
.strip { border-top: 1px solid var(--border-color-primary); padding: .4rem 0; font-size: .9em; }
.bar { height: .5rem; background: var(--background-fill-secondary); border-radius: 4px; overflow: hidden; }
.bar span { display: block; height: 100%; background: var(--color-accent); }
.reply { border-bottom: 1px solid var(--border-color-primary); padding: .3rem 0; font-size: .85em;
  white-space: pre-wrap; overflow-wrap: anywhere; }
ins { background: #bbf7d0; color: #14532d; text-decoration: none; }
del { background: #fecaca; color: #7f1d1d; text-decoration: none; }
.beside { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
button.open { all: unset; cursor: pointer; text-decoration: underline dotted; }
button.open:hover { color: var(--color-accent); }
button.open:focus-visible { outline: 2px solid var(--color-accent); }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
.spark { width: 80px; height: 20px; vertical-align: middle; }
.spark polyline { fill: none; stroke: var(--color-accent); stroke-width: 1.5; }
.log { max-height: 20rem; overflow: auto; font-size: .8em; white-space: pre-wrap; overflow-wrap: anywhere; }
.stages { list-style: none; display: flex; flex-wrap: wrap; gap: .3rem .3rem; padding: 0; margin: .5rem 0; }
.stages li { background: var(--background-fill-secondary); border: 1px solid var(--border-color-primary);
  border-radius: 4px; padding: .2rem .5rem; font-size: .85em; }
.stages li:not(:last-child)::after { content: ' \\2192'; color: var(--body-text-color-subdued); }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(12rem, 1fr)); gap: 1rem; margin: .6rem 0; }
.columns p { white-space: pre-wrap; overflow-wrap: anywhere; margin: .3rem 0 0; }
.pane { border: 1px solid var(--border-color-primary); border-radius: 4px; padding: .5rem .7rem; }
.facts { color: var(--body-text-color-subdued); font-size: .85em; margin-top: .4rem;
  font-variant-numeric: tabular-nums; }
.item { border-bottom: 1px solid var(--border-color-primary); padding: .5rem 0; }
.told { white-space: pre-wrap; }
.ways { display: flex; flex-wrap: wrap; gap: .2rem 1rem; }
.ways a { text-decoration: underline; padding: 0 !important; margin: 0; }
input.fold, label.fold { display: none; }
@media (max-width: 640px) {
  label.fold { display: block; padding: .5rem .6rem; border: 1px solid var(--border-color-primary); border-radius: 4px;
    font-weight: 600; cursor: pointer; }
  label.fold::after { content: ' \\25be'; color: var(--body-text-color-subdued); }
  input.fold { display: inline; position: absolute; opacity: 0; }
  input.fold:focus-visible + label.fold { outline: 2px solid var(--color-accent); }
  .rail { display: none; }
  input.fold:checked ~ .rail { display: block; }
  .pair, .beside { grid-template-columns: 1fr; }
  .gradio-container .row { flex-wrap: wrap; }
  .gradio-container .column { min-width: 100% !important; }
}
"""
