"""latents:RUN as a data set: standardised codes of a frozen model, and their way back to images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from genbench.contracts import samples_data
from genbench.errors import DataError, SettingError
from genbench.pixels import to_float
from genbench.testing import check_dataset
from genbench_data.latents_settings import LatentsSettings


def codes_of(bench, run, **settings):
    return bench.data(LatentsSettings(run=run.id, **settings))


@pytest.fixture(scope="module")
def latents(bench, parent):
    return codes_of(bench, parent)


def images_of(split, n):
    return to_float(torch.from_numpy(np.array(split.x[:n])))


def test_the_latents_are_described_as_they_turn_out_before_anything_is_built(bench, parent):
    described = LatentsSettings(run=parent.id).describe(bench.access)
    data = codes_of(bench, parent)
    assert described == data.spec
    assert (described.shape, described.latent, described.bounded) == ((4,), True, False)
    assert (described.classes, described.shown.name) == (10, "digits")
    assert data.train.x.shape == (described.train, 4)


@pytest.mark.parametrize("which", ["parent", "spatial"])
def test_latents_keep_the_contract_of_data_sets(bench, which, request):
    run = request.getfixturevalue(which)
    check_dataset("latents", LatentsSettings(run=run.id), access=bench.access)


@pytest.mark.parametrize("which", ["parent", "spatial"])
def test_training_latents_have_mean_0_and_std_1_in_each_dimension_or_channel(bench, which, request):
    data = codes_of(bench, request.getfixturevalue(which))
    axes = (0, *range(2, data.train.x.ndim))
    assert data.train.x.dtype == np.float32
    assert data.train.x.mean(axes) == pytest.approx(0, abs=1e-4)
    assert data.train.x.std(axes) == pytest.approx(1, abs=1e-4)
    assert np.abs(data.test.x).max() < 20


def test_codes_of_a_convolutional_model_stay_spatial(bench, spatial):
    data = codes_of(bench, spatial)
    assert data.spec.shape == (2, 4, 4)
    assert data.render(torch.zeros(3, 2, 4, 4)).shape == (3, 1, 8, 8)


@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("which", ["parent", "spatial"])
def test_rendering_the_code_of_an_image_is_its_reconstruction(bench, which, request, standardise):
    run = request.getfixturevalue(which)
    data = codes_of(bench, run, draw="mean", standardise=standardise)
    model = bench.load(run.id).model
    with torch.no_grad():
        expected = model.reconstruct(images_of(samples_data(data).test, 16))
        rendered = data.render(torch.from_numpy(np.array(data.test.x[:16])))
    assert torch.allclose(rendered, expected, atol=1e-4)


def test_each_code_is_one_draw_of_its_posterior(bench, parent):
    drawn = codes_of(bench, parent, standardise=False).train.x
    model, data = bench.load(parent.id).model, bench.load(parent.id).data
    with torch.no_grad():
        mean, logvar = model.encode(images_of(data.train, 1000))
    noise = (drawn[:1000] - mean.numpy()) / np.exp(0.5 * logvar.numpy())
    assert noise.mean() == pytest.approx(0, abs=0.06)
    assert noise.std() == pytest.approx(1, abs=0.05)
    assert len(np.unique(noise[:, 0].round(5))) > 990


def test_draws_follow_their_seed_and_are_made_once(bench, parent, latents):
    again, other = codes_of(bench, parent), codes_of(bench, parent, seed=1)
    assert np.array_equal(again.train.x, latents.train.x)
    assert again.train.digest == latents.train.digest
    assert not np.array_equal(other.train.x, latents.train.x)
    assert len({other.train.digest, latents.train.digest, latents.test.digest}) == 3


def test_codes_are_encoded_once_and_then_read_from_the_cache(bench, parent, latents):
    def entries():
        return sorted(bench.access.cache.glob("data/latents-*/entry.json"))

    before = [path.stat().st_mtime_ns for path in entries()]
    codes_of(bench, parent)
    codes_of(bench, parent, standardise=False)  # standardised when they are loaded
    assert [path.stat().st_mtime_ns for path in entries()] == before


def test_an_entry_of_the_cache_that_was_cut_short_is_made_again(bench, parent, latents):
    for file in bench.access.cache.glob("data/latents-*/train-x.npy"):
        file.write_bytes(file.read_bytes()[:-40])
    assert np.array_equal(codes_of(bench, parent).train.x, latents.train.x)


def test_labels_and_source_are_those_of_the_data_that_was_encoded(bench, parent, latents):
    source = samples_data(latents)
    assert source.spec.name == "digits"
    assert np.array_equal(latents.train.y, source.train.y)
    assert np.array_equal(latents.test.y, source.test.y)


def test_the_lent_model_learns_nothing_and_passes_a_gradient_to_the_codes_alone(latents):
    frozen = latents.render(torch.zeros(2, 4))
    assert not frozen.requires_grad
    h = torch.zeros(2, 4, requires_grad=True)
    latents.render(h).sum().backward()
    assert h.grad is not None
    assert h.grad.abs().sum() > 0
    nets = latents.render._model.nets
    assert not nets.training
    assert all(p.grad is None and not p.requires_grad for p in nets.parameters())


def test_dynamically_drawn_images_are_encoded_as_the_lender_saw_them(bench):
    sets = ("data.size=8", "data.binarize=dynamic", "z_dim=4", "hidden=[16]")
    run = bench.train("vae", "digits", *sets)
    data = codes_of(bench, run, draw="mean", standardise=False)
    model, images = bench.load(run.id).model, bench.load(run.id).data
    grey = images_of(images.train, 200)
    with torch.no_grad():
        of_grey, of_drawn = model.encode(grey)[0], model.encode(images.augment(grey))[0]
    codes = torch.from_numpy(np.array(data.train.x[:200]))
    assert (codes - of_grey).abs().mean() > 0.5 * (of_drawn - of_grey).abs().mean()
    assert data.augment is None


def test_latents_of_latents_render_through_both_decoders(bench, parent):
    child = bench.train("vae", f"latents:{parent.id}", "z_dim=3", "hidden=[8]")
    data = codes_of(bench, child, draw="mean")
    assert data.spec.shape == (3,)
    assert data.spec.shown.name == samples_data(data).spec.name == "digits"
    h = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    middle = bench.load(child.id)
    scale = data.render._scale
    with torch.no_grad():
        by_hand = middle.data.render(middle.model.decode(h * scale[1] + scale[0]))
    assert torch.equal(data.render(h), by_hand)
    assert data.render(h).shape == (5, 1, 8, 8)


def test_latents_need_a_store_and_a_run(bench, parent):
    with pytest.raises(DataError, match="but there is no store"):
        LatentsSettings(run=parent.id).describe(replace(bench.access, runs=None))
    with pytest.raises(SettingError, match="needs the setting 'run': give it after the name and"):
        bench.plan("vae", "latents")
