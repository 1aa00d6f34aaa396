"""Draws studies and their quotes in the terminal."""

from __future__ import annotations

from app.cli.console import print_table
from app.cli.results import say
from app.usecases.training.study_lines import (
    arm_rows,
    contrast_rows,
    kind_rows,
    quote_rows,
    say_budget,
    say_result,
    tell_study_quote,
)
from app.usecases.training.study_quotes import StudyQuote
from engine.study import Grid
from engine.study_table import StudyResult


def show_study(grid: Grid, result: StudyResult) -> None:
    """The table of a study, its contrasts, what is missing of it, and what the chosen contrast says."""
    print_table("arms, over seeds and queries", arm_rows(result))
    if kind_rows(result):
        print_table("score by kind", kind_rows(result))
    print_table("differences on the same queries; the others corrected by Holm's method", contrast_rows(result))
    for line in (*result.missing, say_budget(grid), say_result(grid, result)):
        say(line)


def show_study_quote(quote: StudyQuote) -> None:
    """What a study would take: by arm, and in all."""
    print_table("what each arm takes, all seeds together", quote_rows(quote))
    for line in tell_study_quote(quote):
        say(line)
