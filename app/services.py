"""The use cases in one frozen value, for pages, command line and Python; `open_services` is the composition root."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.usecases.compression.compressions import AGAIN, CompressService
from app.usecases.compression.reviews import ReviewService
from app.usecases.data.imports import DataService
from app.usecases.data.near_duplicates import ResembleService
from app.usecases.data.previews import PreviewService
from app.usecases.data.stored_queries import StoredQueryService
from app.usecases.data.traces import TraceService
from app.usecases.evaluation.comparisons import CompareService
from app.usecases.evaluation.confidences import ConfidenceService
from app.usecases.exports.artefacts import ArtefactService
from app.usecases.exports.exports import ExportService
from app.usecases.exports.hub import PUSH, PUSHING, PublishService
from app.usecases.exports.reports import ReportService
from app.usecases.labelling.answers import AnswerService
from app.usecases.labelling.grades import GradeService
from app.usecases.labelling.label import LabelService
from app.usecases.labelling.pilots import PilotService
from app.usecases.labelling.quotes import QuoteService
from app.usecases.playground.answers import PLAY, PlayService
from app.usecases.projects.copies import CarryService
from app.usecases.projects.lookup import ProjectService
from app.usecases.projects.overview import OverviewService
from app.usecases.projects.results import ResultService
from app.usecases.projects.status import STUDY, StandingService
from app.usecases.selection.calibration import CalibrateService
from app.usecases.selection.comparison import MatchService
from app.usecases.selection.overviews import SurveyService
from app.usecases.selection.queries import BrowseService
from app.usecases.selection.selections import SelectService
from app.usecases.serving.child import ChildGatewayService
from app.usecases.serving.draws import DrawService
from app.usecases.serving.queries import GatewayService
from app.usecases.serving.savings import SaveService
from app.usecases.teachers.connections import Connections
from app.usecases.teachers.prompts import PromptService
from app.usecases.teachers.teachers import TeacherService
from app.usecases.training.forecasts import ForecastService
from app.usecases.training.plans import PlanService
from app.usecases.training.progress import WatchService
from app.usecases.training.remaining import RemainingService
from app.usecases.training.run_reports import ReadService
from app.usecases.training.runs import RunService
from app.usecases.training.studies import StudyService
from app.usecases.training.study_quotes import StudyQuoteService
from app.usecases.training.webhook import Webhook, read_webhook
from app.usecases.workspace.context import Context, open_context
from app.usecases.workspace.jobs import JobService
from app.usecases.workspace.upkeep import KeepService
from engine.errors import ConfigError
from engine.jobs.backends import BACKENDS, Backend
from engine.jobs.supervisor import Supervisor


@dataclass(frozen=True)
class Services:
    """Everything Tacit can do on one workspace."""

    context: Context
    projects: ProjectService
    jobs: JobService
    data: DataService
    traces: TraceService
    teachers: TeacherService
    label: LabelService
    answers: AnswerService
    quote: QuoteService
    pilot: PilotService
    grade: GradeService
    select: SelectService
    run: RunService
    export: ExportService
    artefacts: ArtefactService
    resemble: ResembleService
    standing: StandingService
    overview: OverviewService
    results: ResultService
    preview: PreviewService
    queries: StoredQueryService
    browse: BrowseService
    survey: SurveyService
    calibrate: CalibrateService
    match: MatchService
    carry: CarryService
    prompt: PromptService
    reading: ReadService
    compress: CompressService
    review: ReviewService
    plan: PlanService
    study: StudyService
    study_quote: StudyQuoteService
    forecast: ForecastService
    watch: WatchService
    compare: CompareService
    report: ReportService
    save: SaveService
    draws: DrawService
    play: PlayService
    publish: PublishService
    keep: KeepService
    gateway: GatewayService
    child_gateway: ChildGatewayService


def _devices() -> int:
    """How many GPUs a worker trains on: $TACIT_DEVICES, one where it is not set.

    Raises:
        ConfigError: if it is no whole number from 1 on.
    """
    given = os.environ.get("TACIT_DEVICES", "1")
    if not given.isdecimal() or int(given) < 1:
        raise ConfigError(f"TACIT_DEVICES is {given[:20]!r}: give the number of GPUs to train on, as 4, or unset it")
    return int(given)


@contextmanager
def open_services(workspace: Path, backend: Backend | None = None) -> Iterator[Services]:
    """Open a workspace, take over what an earlier process left, and watch over its jobs until the end of the block.

    `backend` runs all workers, whatever backend their jobs name.

    Raises:
        WorkspaceBusy: if another process has the workspace open.
        StoreError: if its database can't be used.
        ConfigError: if $TACIT_DEVICES is no number of GPUs, or $TACIT_WEBHOOK no web address.
    """
    devices, webhook = _devices(), read_webhook()
    context = open_context(workspace.resolve())
    shutil.rmtree(context.workspace / PUSHING, ignore_errors=True)
    services = _compose(context, webhook)
    runners = {
        "label": services.label.run_label,
        "batch": services.label.run_batch,
        "ray-label": services.label.run_ray,
        "grade": services.grade.run_grade,
        "compress": services.compress.run_compress,
        AGAIN: services.compress.run_again,
        "probe": services.teachers.run_probe,
        PLAY: services.play.run_play,
        PUSH: services.publish.run_push,
        STUDY: services.study.run_study,
    }
    context.supervisor = Supervisor(
        context.jobs,
        (lambda name: backend) if backend is not None else BACKENDS.get,
        runners,
        services.run.job_over,
        devices,
        before_worker=services.play.resident.end,
    )
    context.supervisor.redactor = services.label.connections.keys.redactor
    try:
        context.supervisor.recover()
        services.run.stop_cut_off()
        context.supervisor.start()
        yield services
    finally:
        services.child_gateway.close()
        services.play.close()
        context.supervisor.close()
        context.db.close()


_PLAIN: dict[str, Callable[[Context], Any]] = {
    "projects": ProjectService,
    "jobs": JobService,
    "answers": AnswerService,
    "resemble": ResembleService,
    "preview": PreviewService,
    "queries": StoredQueryService,
    "carry": CarryService,
    "prompt": PromptService,
    "review": ReviewService,
    "keep": KeepService,
    "gateway": GatewayService,
}
"""Use cases that need nothing but the workspace, by their names in `Services`."""


def _compose(context: Context, webhook: Webhook) -> Services:
    """All use cases over an open workspace."""
    connections, selecting, comparing = Connections(context), SelectService(context), CompareService(context)
    data = DataService(context)
    label, compressing = LabelService(context, connections), CompressService(context, connections)
    run, exporting = RunService(context, compressing, selecting, webhook), ExportService(context)
    planning, calibrating = PlanService(context), CalibrateService(context, selecting)
    forecasting, matching = ForecastService(context, selecting), MatchService(context, selecting, calibrating)
    saving = SaveService(context, comparing)
    remaining, studying = RemainingService(context, forecasting), StudyService(context, planning, run)
    return Services(
        context=context,
        **{name: make(context) for name, make in _PLAIN.items()},
        data=data,
        traces=TraceService(context, data),
        teachers=TeacherService(context, connections),
        label=label,
        quote=QuoteService(context, label),
        pilot=PilotService(context, label, selecting),
        grade=GradeService(context, connections, label),
        select=selecting,
        run=run,
        export=exporting,
        artefacts=ArtefactService(context, exporting),
        standing=StandingService(context, remaining),
        overview=OverviewService(context, run),
        results=ResultService(context, comparing),
        browse=BrowseService(context, selecting),
        survey=SurveyService(context, selecting, matching),
        calibrate=calibrating,
        match=matching,
        reading=ReadService(context, run, remaining),
        compress=compressing,
        plan=planning,
        study=studying,
        study_quote=StudyQuoteService(context, studying, forecasting),
        forecast=forecasting,
        watch=WatchService(context, remaining),
        compare=comparing,
        report=ReportService(context, comparing, ConfidenceService(context)),
        save=saving,
        draws=DrawService(context, saving),
        play=PlayService(context, connections, label),
        publish=PublishService(context, connections.keys, exporting),
        child_gateway=ChildGatewayService(context, connections.keys),
    )
