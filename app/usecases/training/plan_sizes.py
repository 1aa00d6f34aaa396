"""How much a plan takes by itself, which budgets share among its parts, and what a run's teachers cost."""

from __future__ import annotations

from decimal import Decimal

from app.usecases.selection.selections import SelectService
from app.usecases.selection.spending import price_labels
from app.usecases.training.materials import StageBuilder, pretend_run
from engine.budgets import PlanSize, Spent
from engine.compression.quote import CompressQuote, quote_compressing
from engine.errors import ConfigError
from engine.pipeline import measure_stages
from engine.plans import Compress, Plan
from storage.runs import Run


def measure_plan(selecting: SelectService, project_name: str, plan: Plan) -> PlanSize:
    """How much a plan without a budget takes.

    Raises:
        NotFound: if nothing was selected yet.
    """
    selection = selecting.select_for(project_name, plan)
    builder = StageBuilder(selecting.context, pretend_run(plan, selection.project_id, selection.id))

    def spent() -> Spent:
        config = plan.selection or selection.config
        quote = quote_rewriting(selecting, project_name, plan)
        if quote.low is None or quote.high is None:
            raise ConfigError("what rewriting costs is not known: give the teachers prices, or choose another budget")
        return Spent(config, price_labels(selecting, project_name, config), float(quote.low + quote.high) / 2)

    return PlanSize(measure_stages(builder.pipeline), spent)


def quote_rewriting(selecting: SelectService, project_name: str, plan: Plan) -> CompressQuote:
    """What a plan's teachers are asked to rewrite, and what that costs."""
    rounds = sum(isinstance(step, Compress) for step in plan.steps) if plan.asks_to_compress else 0
    if not rounds:
        return CompressQuote(0, Decimal(0), Decimal(0))
    context = selecting.context
    selection = selecting.select_for(project_name, plan)
    specs = {spec.name: spec for spec in context.projects.teachers(selection.project_id)}
    examples = StageBuilder(context, pretend_run(plan, selection.project_id, selection.id)).examples * rounds
    return quote_compressing(examples, specs, plan.compressor, plan.check_level)


def sum_spent(selecting: SelectService, project_name: str, run: Run) -> dict[str, float | None]:
    """US dollars that a run's teachers cost: for the labels that its selection asked for, and for rewriting.

    None where it is not known.
    """
    context = selecting.context
    config = context.selections.get(run.selection_id).config
    try:
        labels: float | None = price_labels(selecting, project_name, config)
    except ConfigError:
        labels = None
    return {"labels": labels, "compressing": context.ledger.compressed_for(run.project_id, run.id)}
