"""What imports did, in the words that the pages and the terminal share."""

from __future__ import annotations

from app.usecases.data.imports import OutputImport, OutputReading, QueryImport
from engine.columns import Span
from engine.wording import counted

_REASONS = 4


def tell_queries(result: QueryImport) -> list[str]:
    """Sentences on what went in, what did not, and what was noticed."""
    golds = f" ({result.golds:,} with a gold label)" if result.golds else ""
    parts = [f"{counted(result.added, 'query', 'queries')} added{golds}"]
    parts += [f"{result.duplicates:,} repeated"] if result.duplicates else []
    parts += [f"{result.present:,} there already and left as they are"] if result.present else []
    parts += [f"{counted(result.rejected, 'row')} left out"] if result.rejected else []
    lines = [f"{', '.join(parts)}."]
    if result.broke_off:
        lines.append(f"The file was not read to its end: {result.broke_off}. What is counted above is stored.")
    if result.leaked:
        verb = "stands in the other split and stays" if result.leaked == 1 else "stand in the other split and stay"
        lines.append(f"{result.leaked:,} of those there already {verb} there.")
    if result.noted:
        lines.append(f"{counted(result.noted, 'row')} taken without a gold label that can't be right.")
    lines += tell_paraphrases(result.paraphrases)
    if result.followed:
        verb = "is" if result.followed == 1 else "are"
        lines.append(
            f"{result.followed:,} of the added {verb} not where the share would put them: the project has their "
            "original question, or paraphrases of it, in the other split."
        )
    return [*lines, *tell_spans(result.spanning, result.spans)]


def tell_paraphrases(count: int) -> list[str]:
    """A sentence on how paraphrases are split."""
    if not count:
        return []
    verb = "paraphrases" if count == 1 else "paraphrase"
    return [
        f"{counted(count, 'query', 'queries')} {verb} an original question: each is held out exactly where that is, so "
        "nothing is trained on that asks a held-out question in other words."
    ]


def tell_spans(count: int, longest: list[Span]) -> list[str]:
    """A sentence on rows over several lines: right for long texts, and wrong where a quote closes too late."""
    if not count:
        return []
    span = longest[0]
    where = f"row {span.row:,}, lines {span.line:,} to {span.line + span.lines - 1:,}"
    verb = "runs" if count == 1 else "run"
    doubt = " If those are rows of their own, a quote in the first of them is not closed." if span.lines > 2 else ""
    return [f"{counted(count, 'row')} {verb} over several lines of the file; the longest: {where}.{doubt}"]


def tell_outputs(result: OutputImport, reading: OutputReading) -> list[str]:
    """Sentences on outputs: how many came in, how many could not be read and why, what was left out."""
    teachers = counted(len(result.teachers), "teacher")
    summary = f"{counted(reading.outputs, 'output')} of {teachers} imported"
    if reading.unread:
        reasons = [f"{why}: {count:,}" for why, count in list(reading.why.items())[:_REASONS]]
        summary += f", {reading.unread:,} of {counted(reading.outputs, 'output')} unread ({'; '.join(reasons)})"
    else:
        summary += ", all of them read" if reading.outputs > 1 else ", and read"
    lines = [f"{summary}."]
    if reading.present:
        lines.append(f"{reading.present:,} of them had been read before.")
    if result.unmatched:
        verb = "belongs" if result.unmatched == 1 else "belong"
        lines.append(f"{counted(result.unmatched, 'row')} {verb} to no query of the project.")
    if result.rejected:
        lines.append(f"{counted(result.rejected, 'row')} left out.")
    if result.noted:
        lines.append(f"{counted(result.noted, 'row')} taken without scores that can't be read.")
    return lines
