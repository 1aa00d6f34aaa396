"""The use cases in one frozen value, for pages, command line and Python; `open_services` is the composition root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.usecases.asking import Asking
from app.usecases.browsing import BrowseService
from app.usecases.carrying import CarryService
from app.usecases.context import Context, open_context
from app.usecases.data import DataService
from app.usecases.exporting import ExportService
from app.usecases.labelling import LabelService
from app.usecases.previewing import PreviewService
from app.usecases.prompting import PromptService
from app.usecases.quoting import QuoteService
from app.usecases.reading import ReadService
from app.usecases.resembling import ResembleService
from app.usecases.running import RunService
from app.usecases.selecting import SelectService
from app.usecases.standing import StandingService
from app.usecases.surveying import SurveyService
from app.usecases.teaching import TeacherService
from engine.jobs.backends.local import LocalBackend
from engine.jobs.supervisor import Supervisor
from engine.ports import Backend


@dataclass(frozen=True)
class Services:
    """Everything Tacit can do on one workspace."""

    context: Context
    data: DataService
    teachers: TeacherService
    label: LabelService
    quote: QuoteService
    select: SelectService
    run: RunService
    export: ExportService
    resemble: ResembleService
    standing: StandingService
    preview: PreviewService
    browse: BrowseService
    survey: SurveyService
    carry: CarryService
    prompt: PromptService
    reading: ReadService


def _devices() -> int:
    """How many GPUs a worker trains on: $TACIT_DEVICES, one where it is not set."""
    return int(os.environ.get("TACIT_DEVICES", "1"))


@contextmanager
def open_services(workspace: Path, backend: Backend | None = None) -> Iterator[Services]:
    """Open a workspace, take over what an earlier process left, and watch over its jobs until the end of the block.

    Raises:
        WorkspaceBusy: if another process has the workspace open.
        StoreError: if its database can't be used.
    """
    context = open_context(workspace.resolve())
    asking = Asking(context)
    label, run, teachers = LabelService(context, asking), RunService(context), TeacherService(context, asking)
    selecting = SelectService(context)
    runners = {
        "label": label.run_label,
        "batch": label.run_batch,
        "ray-label": label.run_ray,
        "compress": label.run_compress,
        "probe": teachers.run_probe,
    }
    context.supervisor = Supervisor(context.jobs, backend or LocalBackend(), runners, run.job_over, _devices())
    try:
        context.supervisor.recover()
        run.stop_cut_off()
        context.supervisor.start()
        yield Services(
            context,
            DataService(context),
            teachers,
            label,
            QuoteService(context, label),
            selecting,
            run,
            ExportService(context),
            ResembleService(context),
            StandingService(context),
            PreviewService(context),
            BrowseService(context, selecting),
            SurveyService(context, selecting),
            CarryService(context),
            PromptService(context),
            ReadService(context, run),
        )
    finally:
        context.supervisor.close()
        context.db.close()
