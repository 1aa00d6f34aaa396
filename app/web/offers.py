"""What a page does not offer: whatever leads only to what the policy refuses is hidden, with what it works on.

What is allowed in a visitor's own copy alone carries the class `of-copy`, which the style sheet hides as long as the
note above the page says that the project is shared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import gradio as gr

from app.hosted_demo.policy import AccessPolicy, Offer

OF_COPY = "of-copy"
Work = TypeVar("Work", bound=Callable[..., Any])
_ORDER: tuple[Offer, ...] = ("everywhere", "in a copy", "nowhere")


def only_guides(work: Work) -> Work:
    """Marks a handler that does nothing but say what else can be asked for: it is no reason to offer a field."""
    work.__dict__["only_guides"] = True
    return work


def withhold(app: gr.Blocks, page: str, policy: AccessPolicy, filled: Iterable[Any]) -> bool:
    """Hide on a page what leads only to what is refused; whether anything was.

    `filled` are components that show something whoever presses what.
    """
    kept = {part._id for part in filled}
    triggers, inputs, outputs = _find_uses(app, page, policy)
    blocks = [block for block in app.blocks.values() if block.page == page]
    hidden: dict[int, Offer] = {}
    for block in blocks:
        if "address" in (getattr(block, "elem_classes", None) or ()):
            continue  # nobody sees it, and what is bound to it later only reads
        leads = triggers.get(block._id) or inputs.get(block._id)
        shows = outputs.get(block._id)
        offer = _best(leads or shows or set())
        if offer == "everywhere" or (block._id in kept and not leads):
            continue
        if isinstance(block, gr.Button) or not (leads and shows) or _best(shows) == offer:
            hidden[block._id] = offer
        elif offer == "nowhere":
            block.interactive = False  # it shows something here, and changing it leads nowhere
    for block in blocks:
        leaves = list(_leaves(block)) if getattr(block, "children", None) else []
        if leaves and all(leaf._id in hidden for leaf in leaves):
            hidden[block._id] = _best({hidden[leaf._id] for leaf in leaves})
    for block in blocks:
        if block._id in hidden:
            _hide(block, hidden[block._id])
    return "nowhere" in hidden.values()


def _find_uses(app: gr.Blocks, page: str, policy: AccessPolicy) -> list[dict[int, set[Offer]]]:
    """By component: what may be asked for by pressing or changing it, what reads it, and what writes it."""
    triggers: dict[int, set[Offer]] = {}
    inputs: dict[int, set[Offer]] = {}
    outputs: dict[int, set[Offer]] = {}
    for event in app.fns.values():
        work = event.fn
        if event.page != page or not hasattr(work, "__wrapped__") or hasattr(work, "only_guides"):
            continue  # what is not guarded reaches nothing
        offer = policy.offers(work.__module__.rpartition(".")[2], work.__name__)
        for uses, ids in (
            (triggers, [target for target, _ in event.targets if target is not None]),
            (inputs, [block._id for block in event.inputs]),
            (outputs, [block._id for block in event.outputs]),
        ):
            for id_ in ids:
                uses.setdefault(id_, set()).add(offer)
    return [triggers, inputs, outputs]


def _best(offers: set[Offer]) -> Offer:
    return min(offers, key=_ORDER.index, default="everywhere")


def _hide(block: Any, offer: Offer) -> None:
    if offer == "nowhere":
        block.visible = False
    else:
        block.elem_classes = [*block.elem_classes, OF_COPY]


def _leaves(block: Any) -> Iterator[Any]:
    for child in block.children:
        if getattr(child, "children", None):
            yield from _leaves(child)
        else:
            yield child
