"""What teachers were paid for the samples that a selection asks for."""

from __future__ import annotations

from app.usecases.selection.loaded_samples import gather_input
from app.usecases.selection.selections import SelectService
from engine.selection.rules.spending import Spending, read_costs
from engine.selection.select import select
from engine.selection.settings import SelectionConfig

_NO_BOUND = Spending(most_usd=1e9)


def price_labels(selecting: SelectService, project_name: str, config: SelectionConfig) -> float:
    """US dollars of all samples that the settings ask for, whatever they keep of them.

    Raises:
        StateError: if there are no samples.
        ConfigError: if what some of them cost is not known.
    """
    asking, context = config.asking, selecting.context
    loaded, _ = selecting.choose(project_name, asking.with_rule(_NO_BOUND))
    samples = gather_input(context, context.projects.get(project_name), loaded, asking)
    asked = select(samples, asking).kept
    return float(read_costs(samples, asked)[asked].sum())
