"""Lottery tickets of a GAN: the weights that matter, trained again from their initial values.

Frankle & Carbin 2019 (arXiv:1803.03635), for GANs Chen et al. 2021 (arXiv:2106.00134, GAN-LTH): the
smallest weights of the trained networks are removed, the others get back their values from before
the training, and both networks are trained again; this happens in rounds, each of which removes
20 % of what is left. ``rewind=early`` goes back to the weights after some epochs instead (Frankle
et al. 2020, arXiv:1912.05671), which are trained first.

The discriminator goes back, too: its initial weights matter more than whether it is pruned
(GAN-LTH, section 4). The initial weights come from the seed of the parent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from genbench import Batch, Compression, Model, ParentRun, take_shapes
from genbench_compress import masks
from genbench_compress.nets import device_of, pruned_players
from genbench_compress.prune import check_removal, unimportant
from genbench_compress.prune_settings import LotterySettings
from genbench_compress.teacher import Teacher
from genbench_compress.tuning import Begin, fine_tuning, in_rounds

ORIGIN = "origin"
"""The net that keeps the weights to go back to, while there are rounds to come."""


class Lottery:
    """Masks from trained weights on weights from before the training."""

    requires = ("generates",)

    def __init__(self, settings: LotterySettings) -> None:
        self.settings = settings

    def check(self, model: Model, parent: ParentRun) -> None:
        """Every layer keeps a weight, and there are initial weights."""
        check_removal(model, self.settings)
        parent.initial()

    def compress(self, model: Model, parent: ParentRun) -> Compression:
        """A round for each share that is removed; before them, the way to the early weights."""
        s, teacher = self.settings, Teacher(parent)
        nets = pruned_players(model, s.players)
        held = masks.Masks(model, nets)
        shares = s.rounds()

        def begin_again(batches: Iterator[Batch]) -> None:
            copy_weights(parent.initial().nets, model.nets)

        def removing(number: int, share: float) -> Begin:
            def begin(batches: Iterator[Batch]) -> None:
                early = s.rewind == "early"
                trained = teacher.on(device_of(model)) if early and number == 1 else model
                ticket = {
                    name: unimportant(weight, s.criterion, share)
                    for name, weight in masks.named_weights(trained, nets).items()
                }
                if number == 1:
                    keep_origin(model, model.nets if early else parent.initial().nets)
                copy_weights(model.nets[ORIGIN], model.nets)
                if number == len(shares):
                    del model.nets[ORIGIN]
                for name, weight in masks.named_weights(model, nets).items():
                    masks.remove(weight, ticket[name])
                held.forget()

            return begin

        rounds = in_rounds(
            model,
            [removing(number, share) for number, share in enumerate(shares, start=1)],
            round_epochs=s.round_epochs,
            changed=held.held,
        )
        if s.rewind == "early":
            first = fine_tuning(model, begin=begin_again, prefix="early-", epochs=s.early_epochs)
            rounds = (*first, *rounds)
        return Compression(stages=rounds, reshape=lambda tensors: _reshape(model, tensors))


def keep_origin(model: Model, source: nn.Module) -> None:
    """Add a net with copies of all tensors of ``source``, by their names."""
    state = {name: tensor.clone() for name, tensor in source.state_dict().items()}
    model.nets[ORIGIN] = Origin(state).to(device_of(model))


@torch.no_grad()
def copy_weights(source: nn.Module, nets: nn.ModuleDict) -> None:
    """Give the nets all values of another copy of them, but not those of an origin."""
    stored = source.tensors() if isinstance(source, Origin) else source.state_dict()
    for name, tensor in nets.state_dict().items():
        if not name.startswith(f"{ORIGIN}."):
            tensor.copy_(stored[name])


class Origin(nn.Module):
    """Tensors that are kept as buffers; "|" stands for ".", which no name of a buffer contains."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            self.register_buffer(name.replace(".", "|"), tensor)

    def tensors(self) -> dict[str, Tensor]:
        """The tensors by their names."""
        return {name.replace("|", "."): tensor for name, tensor in self.named_buffers()}


def _reshape(model: Model, tensors: Mapping[str, Tensor]) -> None:
    """Take the shapes of a checkpoint, which holds the origin, too, between two rounds."""
    prefix = f"{ORIGIN}."
    kept = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
    if ORIGIN in model.nets:
        del model.nets[ORIGIN]
    if kept:
        model.nets[ORIGIN] = Origin({name: tensor.clone() for name, tensor in kept.items()})
    take_shapes(model.nets, tensors)
