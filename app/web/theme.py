"""Look and feel in one place: gradio's theme brought to our tokens, style sheets; it passes on the colours of plots."""

from __future__ import annotations

from importlib.resources import files

import gradio as gr

from app.palette import ACCENT, TEACHER_COLOURS, stage_colour, teacher_colour

__all__ = ["ACCENT", "CSS", "HEAD", "TEACHER_COLOURS", "make_theme", "stage_colour", "teacher_colour"]

_TOKENS = {
    "body_background_fill": "var(--t-canvas)",
    "body_text_color": "var(--t-ink)",
    "body_text_color_subdued": "var(--t-ink-3)",
    "background_fill_primary": "var(--t-surface)",
    "background_fill_secondary": "var(--t-sunken)",
    "border_color_primary": "var(--t-line)",
    "border_color_accent": "var(--t-accent)",
    "color_accent": "var(--t-accent)",
    "color_accent_soft": "var(--t-accent-soft)",
    "link_text_color": "var(--t-accent)",
    "block_background_fill": "var(--t-surface)",
    "block_border_color": "var(--t-line)",
    "block_info_text_color": "var(--t-ink-3)",
    "block_label_background_fill": "transparent",
    "block_label_text_color": "var(--t-ink-2)",
    "block_title_text_color": "var(--t-ink-2)",
    "block_radius": "var(--t-radius-l)",
    "container_radius": "var(--t-radius-l)",
    "input_background_fill": "var(--t-surface)",
    "input_background_fill_focus": "var(--t-surface)",
    "input_border_color": "var(--t-line-strong)",
    "input_border_color_focus": "var(--t-accent)",
    "input_border_width": "1px",
    "input_padding": "6px 10px",
    "input_placeholder_color": "var(--t-ink-3)",
    "input_radius": "var(--t-radius)",
    "input_shadow": "none",
    "input_shadow_focus": "0 0 0 2px var(--t-accent-soft)",
    "checkbox_background_color": "var(--t-surface)",
    "checkbox_background_color_selected": "var(--t-accent)",
    "checkbox_border_color": "var(--t-line-strong)",
    "checkbox_border_color_selected": "var(--t-accent)",
    "checkbox_label_text_color": "var(--t-ink)",
    "slider_color": "var(--t-accent)",
    "error_text_color": "var(--t-bad)",
}
_ONCE = ("color_accent", "block_radius", "container_radius", "input_padding", "input_radius")
"""Names of which gradio has no dark one."""


def make_theme() -> gr.themes.Base:
    """Gradio's theme with every colour a token, and a font that gradio brings (nothing is fetched).

    Gradio's files of the weight 600 lack most letters, so that weight is drawn with the file of 700.
    """
    theme = gr.themes.Base(
        radius_size="sm",
        spacing_size="sm",
        text_size="md",
        font=(gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), "system-ui", "sans-serif"),
        font_mono=(gr.themes.LocalFont("IBM Plex Mono", weights=(400, 700)), "ui-monospace", "monospace"),
    )
    dark = {f"{name}_dark": value for name, value in _TOKENS.items() if name not in _ONCE}
    return theme.set(**_TOKENS, **dark)


def _read(name: str) -> str:
    return files("app.web").joinpath("style", name).read_text("utf-8")


CSS = "\n".join(
    (
        _read("tokens.css"),
        _read("gradio.css"),
        f"body .gradio-container.gradio-container {{\n{_read('shell.css')}{_read('parts.css')}}}",
    )
)
"""Parts are nested in the container, written twice, so that gradio's own looks of buttons, links and lists give way."""
HEAD = f"<style>{CSS}</style><script>{_read('studio.js')}</script>"
"""What every page's head holds besides. Given as gradio's `css`, rules inside media queries would be rewritten so that
they match nothing that begins at the container."""
