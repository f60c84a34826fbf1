"""Out of memory: what is said, by what asked for it and where."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from genbench.contracts import Batch, Optimizer, Phase
from genbench.engine.memory import asked_bytes, mixes_samples, step_out_of_memory
from genbench.engine.optim import build_optimizers
from genbench.engine.update import Update
from genbench.errors import OutOfMemoryError

CPU = torch.device("cpu")
TOO_MUCH = 2**50
"""Values of a tensor, more than any machine holds."""


def model(*layers: nn.Module, **says: bool) -> SimpleNamespace:
    nets = nn.ModuleDict({"f": nn.Sequential(nn.Linear(4, 3), *layers)})
    return SimpleNamespace(
        nets=nets, averaged=(), optimizers=lambda: {"f": Optimizer(nets=("f",), lr=0.1)}, **says
    )


def advice(*, images: int = 100, accumulate: int = 1, said: str = "out of memory", **options):
    made = options.get("model") or model()
    error = RuntimeError(said)
    return str(step_out_of_memory(error, made, images=images, accumulate=accumulate, device=CPU))


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 96 bytes.", 96),
        ("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has", 2_684_354_560),
        ("out of memory", None),
    ],
)
def test_the_size_that_was_asked_for_is_read_from_the_allocators_words(said, asked):
    assert asked_bytes(RuntimeError(said)) == asked


def test_a_step_that_the_allocator_refuses_says_what_helps():
    made = model()

    def loss(batch: Batch) -> dict[str, dict[str, torch.Tensor]]:
        return {"f": {"loss": made.nets["f"](torch.empty(TOO_MUCH, 4)).mean()}}

    phase = Phase(name="p", loss=loss, updates=("f",))
    update = Update(phase, build_optimizers(made, clip_norm=None), made, device=CPU)
    with pytest.raises(OutOfMemoryError, match=r"try --accumulate 2 .*--batch-size 4$"):
        update(Batch(x=torch.zeros(8, 4)))


def test_microbatches_are_said_to_be_the_same_loss_only_where_they_are():
    same, apart = "the loss of the same batch", "see one microbatch at a time"
    assert same in advice()
    assert apart in advice(model=model(nn.BatchNorm1d(3)))
    assert apart in advice(model=model(mixes_samples=True))


def test_portions_divide_the_batch():
    assert "--accumulate 5 " in advice(images=25)
    assert "--accumulate 6 " in advice(images=12, accumulate=3)


@pytest.mark.parametrize(
    "given",
    [{"said": "you tried to allocate 48 bytes"}, {"images": 1}, {"images": 4, "accumulate": 4}],
)
def test_a_smaller_batch_is_no_remedy_for_networks_that_are_too_large(given):
    """48 bytes are the weights of the layer: what its gradient and Adam's state ask for too."""
    assert "networks, of 15 parameters" in advice(**given)
    assert "--batch-size" not in advice(**given)


@pytest.mark.parametrize(
    ("name", "settings", "mixes"),
    [
        ("vae", {}, False),
        ("vae", {"network": "conv", "batch_norm": True}, True),
        ("ae", {}, False),
        ("cae", {}, True),
        ("cae", {"relative": False}, False),
        ("gan", {}, False),
        ("gan", {"minibatch_std": True}, True),
        ("gan", {"feature_matching": 1.0}, True),
        ("lsgan", {}, True),
        ("ebgan", {"network": "conv"}, False),
        ("ebgan-pt", {"network": "conv"}, True),
        ("cvae-gan", {}, True),
    ],
)
def test_models_say_whether_the_images_of_a_batch_are_compared(name, settings, mixes):
    from genbench import DataSpec
    from genbench.registry import Registry
    from genbench.settings import validate

    plugins = Registry.from_environment()
    data = DataSpec(name="images", shape=(1, 28, 28), train=100, test=20, classes=10)
    chosen = validate(plugins.settings("model", name), settings, owner=name).fitted(data)
    assert mixes_samples(plugins.target("model", name)(chosen, data)) == mixes
