"""Pruning of a trained generator: remove what matters least, and fine-tune.

After Han et al. 2015 (arXiv:1506.02626: single weights, in rounds) and Li et al. 2017
(arXiv:1608.08710: whole filters, the same share in each layer). The document "More on GANs" (HSE
2022) lists the choices: the criterion, the granularity, when, and whether G or D is pruned. The
fine-tuning has the parent's own losses, with its discriminator as it was at the end.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from genbench import Batch, Compression, Model, ParentRun, UsageError
from genbench_compress import masks
from genbench_compress.channels import channels_of, check_whole, kept_of, narrow
from genbench_compress.criteria import channel_values, lowest, weight_values, with_gradients
from genbench_compress.nets import forget_gradients, pruned_players
from genbench_compress.prune_settings import Criterion, PruneSettings, RemovalSettings
from genbench_compress.tuning import Begin, in_rounds


class Prune:
    """The settings decide what is removed; with ``per_round`` it goes in rounds."""

    requires = ("generates",)

    def __init__(self, settings: PruneSettings) -> None:
        self.settings = settings

    def check(self, model: Model, parent: ParentRun) -> None:
        """Every layer keeps a channel, or a weight."""
        check_removal(model, self.settings)

    def compress(self, model: Model, parent: ParentRun) -> Compression:
        """A round for each share that is removed, and the model's own training after it."""
        s = self.settings
        held = masks.Masks(model, pruned_players(model, s.players))

        def removing(share: float) -> Begin:
            def begin(batches: Iterator[Batch]) -> None:
                remove(model, s, share, batches)
                held.forget()

            return begin

        stages = in_rounds(
            model,
            [removing(share) for share in s.rounds()],
            round_epochs=s.round_epochs,
            finetune=s.finetune,
            changed=held.held if s.granularity == "weight" else None,
        )
        return Compression(stages=stages)


def remove(model: Model, s: RemovalSettings, share: float, batches: Iterator[Batch]) -> None:
    """Remove a share of the channels, or weights, of each layer of the pruned networks."""
    nets = pruned_players(model, s.players)
    if s.criterion == "taylor":
        with_gradients(model, batches, s.taylor_batches, nets)
    if s.granularity == "weight":
        for weight in masks.named_weights(model, nets).values():
            masks.remove(weight, unimportant(weight, s.criterion, share))
    else:
        layers = channels_of(model, nets)
        kept = {
            one.name: ~lowest(
                channel_values(one, s.criterion), one.count - kept_of(one.count, share)
            )
            for one in layers
        }
        narrow(layers, kept)
        check_whole(model)
    forget_gradients(model.nets)


def unimportant(weight: Tensor, criterion: Criterion, share: float) -> Tensor:
    """A mask of a share of the weights that are left, and of those that are 0 already."""
    gone = weight == 0
    values = weight_values(weight, criterion).masked_fill(gone, -1.0)
    left = weight.numel() - int(gone.sum())
    return lowest(values, weight.numel() - kept_of(left, share))


def check_removal(model: Model, s: RemovalSettings) -> None:
    """Raise UsageError if a layer would be empty."""
    nets = pruned_players(model, s.players)
    counts = (
        {name: weight.numel() for name, weight in masks.named_weights(model, nets).items()}
        if s.granularity == "weight"
        else {one.name: one.count for one in channels_of(model, nets)}
    )
    for name, count in counts.items():
        if not kept_of(count, s.ratio):
            raise empty_layer(name, count, f"{s.granularity}s", s.ratio)


def empty_layer(name: str, count: int, of: str, ratio: float) -> UsageError:
    """The error of a ratio that leaves a layer empty."""
    return UsageError(
        f"removing {100 * ratio:g} % leaves nothing of layer '{name}', which has {count} {of}; "
        f"use --set ratio={int(100 * (1 - 1 / count)) / 100:g} or less"
    )
