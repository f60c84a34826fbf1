"""Any model on the latents of any other: no code for the pair.

Diffusion and flows are drawn there by their own samplers.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from genbench.contracts import samples_data
from genbench.errors import IncompatibleError, SettingError
from genbench.runner import evaluate_run, sample_run
from genbench.spec import Part

GANS = ("gan", "lsgan", "wgan", "wgan-gp", "sngan", "cgan", "infogan", "ebgan", "began")
NARROW = {
    "ebgan": ("g_hidden=[8]", "d_hidden=[8]", "code=2"),
    "began": ("g_hidden=[8]", "d_hidden=[8]", "code=2"),
    "r3gan": ("hidden=[8]", "channels=4", "group=4"),
    **dict.fromkeys(("flow-matching", "ddpm", "edm"), ("width=8", "depth=1", "channels=[8]")),
    **dict.fromkeys(("maf", "nsf"), ("hidden=[8]", "layers=2")),
    "realnvp": ("hidden=[8]", "couplings=2", "channels=4"),
}
FEW = ("g_hidden=[8]", "d_hidden=[8]")


@pytest.mark.parametrize("which", ["parent", "spatial"])
@pytest.mark.parametrize("model", sorted({*GANS, *NARROW}))
def test_every_model_trains_on_vectors_and_on_grids_of_codes(bench, model, which, request):
    source = request.getfixturevalue(which)
    sets = NARROW.get(model, FEW)
    child = bench.train(
        model,
        f"latents:{source.id}",
        *sets,
        epochs=1,
        epoch_images=200,
        samples=50,
        batch_size=100,
        watch=False,
    )
    made = bench.load(child.id)
    assert made.data.spec.shape == made.model.generate(made.model.prior(2), zeros(made)).shape[1:]
    assert not any(isinstance(module, nn.Tanh) for module in made.model.nets.modules())


def zeros(made):
    return torch.zeros(2, dtype=torch.int64) if made.spec.model == "cgan" else None


@pytest.mark.parametrize("model", ["gan", "wgan-gp"])
def test_a_gan_has_rates_and_widths_of_its_own_for_latents_unless_told_otherwise(
    bench, parent, model
):
    plan = bench.plan(model, f"latents:{parent.id}").spec.model_settings
    assert plan["network"] == "mlp"
    assert (plan["g_hidden"], plan["d_norm"], plan["g_norm"]) == ([256, 256], *["identity"] * 2)
    told = bench.plan(model, f"latents:{parent.id}", "g_lr=3e-4").spec.model_settings
    assert (told["g_lr"], told["d_lr"]) == (3e-4, plan["d_lr"])
    on_images = bench.plan(model, "digits").spec.model_settings
    assert on_images["g_lr"] != plan["g_lr"]


def test_what_takes_images_refuses_latents_in_one_sentence(bench, parent, spatial):
    with pytest.raises(IncompatibleError, match=r"dcgan .* square images .* takes points and"):
        bench.plan("dcgan", f"latents:{spatial.id}")
    with pytest.raises(IncompatibleError, match=r"network=conv takes .*shape \(2, 4, 4\); set net"):
        bench.plan("gan", f"latents:{spatial.id}", "network=conv")
    with pytest.raises(IncompatibleError, match="augment takes images"):
        bench.plan("gan", f"latents:{parent.id}", 'augment=["cutout"]')


def test_a_vae_on_latents_takes_a_gaussian_likelihood_where_none_is_named(bench, parent):
    plan = bench.plan("vae", f"latents:{parent.id}").spec.model_settings
    assert plan["likelihood"] == "gaussian"
    with pytest.raises(IncompatibleError, match="set likelihood=gaussian"):
        bench.plan("vae", f"latents:{parent.id}", "likelihood=bernoulli")
    assert bench.plan("vae", "digits").spec.model_settings["likelihood"] == "bernoulli"


@pytest.mark.parametrize("model", ["ae", "dae", "cae", "vae-gmm"])
def test_an_autoencoder_trains_on_latents_by_squared_error_where_no_loss_is_named(
    bench, parent, model
):
    sets = ("z_dim=2", "hidden=[8]", "components=2")
    child = bench.train(model, f"latents:{parent.id}", *sets, epochs=1, epoch_images=200)
    assert "mse" in bench.load(child.id).spec.model_settings.values()


def test_default_metrics_are_those_of_the_images_that_come_out(bench, parent):
    plan = bench.plan("gan", f"latents:{parent.id}", metrics=())
    assert [metric.name for metric in plan.spec.metrics] == ["fd_clf", "fd_pixel"]


@pytest.fixture(scope="module")
def child(bench, parent):
    return bench.train("gan", f"latents:{parent.id}", *FEW, epochs=2)


def test_samples_are_scored_against_the_images_that_were_encoded(bench, parent, child):
    [own] = bench.store.scores(child.id)
    [of_parent] = [s for s in bench.store.scores(parent.id) if s.sampler == "plain"]
    assert own.protocol_hash == of_parent.protocol_hash
    assert own.floor == of_parent.floor


@pytest.mark.parametrize("sampler", ["drs", "mh", "ddls"])
def test_samplers_that_ask_the_discriminator_work_on_a_graft(bench, child, sampler):
    quick = {"drs": {}, "mh": {"steps": 5}, "ddls": {"steps": 3}}
    settings = bench.registry.settings("sampler", sampler)
    known = {k: v for k, v in quick[sampler].items() if k in settings.model_fields}
    part = Part(name=sampler, settings=settings(**known).model_dump(mode="json"))
    [record] = evaluate_run(
        child.id,
        registry=bench.registry,
        store=bench.store,
        access=bench.access,
        samplers=[part],
        n=40,
        device="cpu",
    )
    assert not record.skipped
    assert [score.metric for score in record.scores] == ["fd_pixel"]
    assert record.diagnostics["acceptance"] > 0


def test_samples_and_pictures_of_a_graft_are_images(bench, child, tmp_path):
    out = tmp_path / "samples.npz"
    sample_run(
        child.id, registry=bench.registry, store=bench.store, access=bench.access, out=out, n=3
    )
    assert np.load(out)["images"].shape == (3, 8, 8, 1)
    assert (bench.store.folder(child.id) / "samples.png").is_file()
    assert samples_data(bench.load(child.id).data).spec.shape == (1, 8, 8)


def test_reconstructions_of_latents_are_shown_rendered(bench, parent):
    child = bench.train("vae", f"latents:{parent.id}", "z_dim=4", "hidden=[8]", watch=False)
    assert (bench.store.folder(child.id) / "reconstructions.png").is_file()


def test_a_data_set_without_an_argument_refuses_one(bench):
    with pytest.raises(SettingError, match="data set 'digits' takes no argument; give 'digits'"):
        bench.plan("vae", "digits:3")


def test_the_argument_of_image_folder_is_its_path(bench, tmp_path):
    for name in "abcdefghij":
        (tmp_path / "pictures").mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), "red").save(tmp_path / "pictures" / f"{name}.png")
    plan = bench.plan("vae", f"image-folder:{tmp_path / 'pictures'}", "data.size=8", batch_size=2)
    assert plan.spec.dataset == "image-folder"
    assert plan.spec.dataset_settings["path"] == str(tmp_path / "pictures")
