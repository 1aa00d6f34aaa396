"""What the confidence of each student is worth, as a section of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from app.usecases.evaluation.risk_charts import MEANING, NONE_KEPT, NOTE, risk_plot_html, risk_rows
from app.web.parts.messages import notice_html, term_html
from app.web.parts.tables import table_html
from engine.evaluation.risk_coverage import RiskCoverage

_FIGURES = ("AUROC", "AURC", "Calibration error", "Answers")


def risk_html(curves: Sequence[RiskCoverage], colours: Mapping[str, str]) -> str:
    """Curves and figures; a line where nothing is known of any confidence."""
    head = f"<h2>{term_html('Risk and coverage', MEANING)}</h2>"
    if not curves:
        return head + notice_html(NONE_KEPT)
    note = f"<p class='quiet'>{escape(NOTE)}</p>"
    figures = table_html(risk_rows(curves), right=_FIGURES)
    return f"{head}{risk_plot_html(curves, colours)}<div class='risk'>{figures}{note}</div>"
