"""The pass that trains on the CPU: packed rows through layers with backward passes by hand. Worker only.

Which model it fits is not looked up but tried: on rows of the first batch its loss and gradients must be those of the
model's own pass; where they are not, rows stay padded and the modules what they are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from engine.datasets.encode import IGNORED
from engine.inference.layers import TokenLosses
from engine.inference.quicken import quicken
from engine.train.packed import ATTENTION, pack_rows

_LOG = logging.getLogger(__name__)
_PROBE_ROWS, _PROBE_TOKENS = 2, 96
_FAR = {torch.bfloat16: 0.3, torch.float16: 0.3}
"""How far the gradients of both passes may be apart, as a share of their length: both round to the number format, layer
after layer (0.03 on a student of 30 layers)."""
_FAR_EXACT = 1e-3
_LOSS_FAR = 0.02

Inputs = Mapping[str, Any]


class QuickPass:
    """The losses of a batch's tokens, only where one is learned, and without padding where the model allows it."""

    def __init__(self, base: Any, packs: bool) -> None:
        """`base`: the student under its adapter, with `model` and `lm_head`; `packs`: whether rows are packed."""
        self._base = base
        self.packs = packs

    def token_losses(self, inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
        """Negative log-likelihood of each learned token, (T,), and the row it stands in, (T,)."""
        targets_BL = torch.full_like(inputs["labels"], IGNORED)
        targets_BL[:, :-1] = inputs["labels"][:, 1:]
        hidden, targets, rows = (self._pass_packed if self.packs else self._pass_padded)(inputs, targets_BL)
        learned = (targets != IGNORED).nonzero()[:, 0]
        losses = TokenLosses.apply(hidden[learned], self._base.lm_head.weight, targets[learned])
        return losses, rows[learned]

    def _pass_packed(self, inputs: Inputs, targets_BL: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Hidden states (N, D), and targets and rows (T,) of the first T of them."""
        packed = pack_rows(inputs["input_ids"], inputs["attention_mask"])
        with _attention(self._base.model, ATTENTION):
            out = self._base.model(
                input_ids=packed.ids_N[None], position_ids=packed.place_N[None], use_cache=False, packed_rows=packed
            )
        return out.last_hidden_state[0], targets_BL.flatten()[packed.at_T], packed.at_T // packed.width

    def _pass_padded(self, inputs: Inputs, targets_BL: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The same of all B * L positions."""
        ids_BL, mask_BL = inputs["input_ids"], inputs["attention_mask"]
        out = self._base.model(input_ids=ids_BL, attention_mask=mask_BL, use_cache=False)
        rows = torch.arange(ids_BL.numel(), device=ids_BL.device) // ids_BL.shape[1]
        return out.last_hidden_state.flatten(0, 1), targets_BL.flatten(), rows


def open_quick_pass(model: Any, inputs: Inputs) -> QuickPass | None:
    """The quick pass of a model; its modules take part in it if it then computes what the model does.

    Args:
        model: a PEFT model on the CPU.
        inputs: a batch, the first rows of which are tried.

    Returns:
        None if the model's head is trained too, or more than a matrix.
    """
    base, was_training = model.get_base_model(), model.training
    if not _has_plain_head(base):
        return None
    probe = {name: inputs[name][:_PROBE_ROWS, :_PROBE_TOKENS] for name in ("input_ids", "attention_mask")}
    probe["labels"] = probe["input_ids"].masked_fill(probe["attention_mask"] == 0, IGNORED)
    model.eval()
    own = _differentiate(model, lambda: _own_loss(base, probe))
    changed = quicken(base)
    reason = _find_difference(model, probe, own)
    model.train(was_training)
    if reason:
        for module in changed:
            del module.forward
        _LOG.warning("rows are not packed for %s: %s", type(base).__name__, reason)
    return QuickPass(base, not reason)


def _find_difference(model: Any, probe: Inputs, own: torch.Tensor) -> str:
    """In what the packed pass is not the model's own, whose loss and gradients are given; "" if in nothing."""
    base = model.get_base_model()
    packed = QuickPass(base, True)
    try:
        quick = _differentiate(model, lambda: packed.token_losses(probe)[0].mean())
        _check_same(own, quick, _FAR.get(base.dtype, _FAR_EXACT))
        _check_rows_apart(packed, probe)
        model.train()
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            packed.token_losses(probe)  # what only a training does, shows here
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        return str(error)
    return ""


def _own_loss(base: Any, probe: Inputs) -> torch.Tensor:
    """The mean negative log-likelihood by the model's own pass."""
    logits = base(input_ids=probe["input_ids"], attention_mask=probe["attention_mask"], use_cache=False).logits
    targets = probe["labels"][:, 1:].flatten()
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1).float(), targets, ignore_index=IGNORED)


def _differentiate(model: Any, loss: Callable[[], torch.Tensor]) -> torch.Tensor:
    """A loss, and the gradients of everything that is trained, in one line; nothing is added to them."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    value = loss()
    gradients = torch.autograd.grad(value, trained, allow_unused=True)
    parts = [part.flatten().float() for part in gradients if part is not None]
    return torch.cat([value.detach().float()[None], *parts])


def _check_same(own: torch.Tensor, quick: torch.Tensor, far: float) -> None:
    """Raise ValueError if losses or gradients are further apart than rounding puts them."""
    if own.shape != quick.shape:
        raise ValueError("it leaves out some of what is trained")
    loss = float((own[0] - quick[0]).abs() / own[0].abs())
    gradient = float((own[1:] - quick[1:]).norm() / own[1:].norm())
    if not (loss <= _LOSS_FAR and gradient <= far):
        raise ValueError(f"the losses are {loss:.2g} apart, the gradients {gradient:.2g}")


def _check_rows_apart(quick: QuickPass, probe: Inputs) -> None:
    """Raise ValueError if other tokens in one row change another row's losses, as a convolution over them would."""
    with torch.no_grad():
        losses, rows = quick.token_losses(probe)
        for row in range(len(probe["input_ids"])):
            others = dict(probe)
            others["input_ids"] = probe["input_ids"].clone()
            others["input_ids"][row] = probe["input_ids"][row].flip(0)
            same = rows != row
            if not torch.equal(quick.token_losses(others)[0][same], losses[same]):
                raise ValueError("a row's tokens reach another row")


@contextmanager
def _attention(model: Any, name: str) -> Iterator[None]:
    """Another attention for as long as this lasts."""
    before = model.config._attn_implementation
    model.config._attn_implementation = name
    try:
        yield
    finally:
        model.config._attn_implementation = before


def _has_plain_head(base: Any) -> bool:
    """Whether logits are nothing but `lm_head(model(...))`, as in Llama, Qwen, Mistral: a matrix that is not trained,
    without scaling and without a soft cap.
    """
    bent = ("logits_scaling", "logit_scale", "final_logit_softcapping")
    weight = getattr(getattr(base, "lm_head", None), "weight", None)
    if weight is None or weight.requires_grad or getattr(base.lm_head, "bias", None) is not None:
        return False
    return hasattr(base, "model") and not any(getattr(base.config, name, None) for name in bent)
