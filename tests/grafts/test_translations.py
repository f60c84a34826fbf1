"""Translations by every model that offers them, as matrices, scores and files of a run."""

from __future__ import annotations

import json
from base64 import b64encode

import numpy as np
import pytest
import torch
from PIL import Image
from small_files import small_celeba

from genbench.contracts import DataSpec
from genbench.errors import IncompatibleError, UsageError
from genbench.latent.translate import Translation, classes_in, translate, translations
from genbench.pictures.domains import Domain, domains_of
from genbench.runner.folder_images import images_in
from genbench_data.latents_settings import LatentsSettings

TINY = ("g_channels=2", "d_channels=2", "g_blocks=0", "hidden=[8]", "n_critic=1")
SHORT = {
    "epochs": 1,
    "batch_size": 32,
    "epoch_images": 64,
    "watch": False,
    "metrics": None,
    "samples": 50,
}
SCORED = {"metrics": ["translation"]}
"""What a model that draws samples too is to be scored by: its defaults score the samples."""
HAIR = ["Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young"]
FACES = DataSpec(name="faces", shape=(3, 8, 8), classes=8, attributes=("Blond_Hair", "Male", "Old"))
DIGITS = DataSpec(name="digits", shape=(1, 8, 8), classes=10, class_names=tuple("0123456789"))


@pytest.fixture
def places(bench):
    """The environment in which the command line finds the bench's store and data."""
    return {
        "GENBENCH_STORE": str(bench.store.url),
        "GENBENCH_DATA": str(bench.access.root),
        "GENBENCH_CACHE": str(bench.access.cache),
    }


@pytest.fixture(scope="module")
def stargan(bench):
    return bench.train("stargan", "digits", "data.size=8", *TINY, **SHORT)


@pytest.fixture(scope="module")
def graft(bench, parent):
    return bench.train("stargan", f"latents:{parent.id}", *TINY, **SHORT)


@pytest.fixture(scope="module")
def cvae(bench):
    return bench.train("cvae", "digits", "data.size=8", "hidden=[8]", **{**SHORT, **SCORED})


@pytest.fixture(scope="module")
def on_labels(bench, cvae):
    """On the codes of a cvae, which are decoded with a label."""
    return bench.train("stargan", f"latents:{cvae.id}", *TINY, **SHORT)


@pytest.fixture(scope="module")
def cvae_gan(bench):
    sets = ("data.size=8", "hidden=[8]", "judge_hidden=[8]")
    return bench.train("cvae-gan", "digits", *sets, **{**SHORT, **SCORED})


# --- runs


@pytest.mark.parametrize("which", ["stargan", "graft", "on_labels", "cvae", "cvae_gan"])
def test_a_run_keeps_the_matrix_and_the_scores_of_its_translations(bench, which, request):
    run = request.getfixturevalue(which)
    files = {
        one.kind: bench.store.folder(run.id) / one.path for one in bench.store.artifacts(run.id)
    }
    with Image.open(files["translations"]) as sheet:
        assert sheet.size[0] > 11 * 56
    scores = {score.metric: score for score in bench.store.scores(run.id)}
    names = [f"translation_{name}" for name in ("accuracy", "fd", "cycle", "identity")]
    assert set(names) <= set(scores)
    assert (scores["translation_accuracy"].n, scores["translation_identity"].n) == (50, 50)


def test_the_report_shows_the_matrix_of_a_run(bench, stargan, command_line, places, tmp_path):
    said = command_line("report", stargan.id, "--out", "report.html", folder=tmp_path, env=places)
    assert said.code == 0, said.err
    page = (tmp_path / "report.html").read_text()
    (matrix,) = [one for one in bench.store.artifacts(stargan.id) if one.kind == "translations"]
    png = (bench.store.folder(stargan.id) / matrix.path).read_bytes()
    assert b64encode(png).decode() in page
    assert "Test images and their translations" in page


def test_scores_of_images_and_of_their_codes_have_one_protocol(bench, stargan, graft):
    def protocols(run):
        scores = bench.store.scores(run.id)
        return {score.metric: dict(score.protocol) for score in scores}

    assert protocols(stargan) == protocols(graft)


def test_training_on_codes_leaves_the_decoder_as_it_is(bench, parent):
    """The decoder draws; no loss sees it, so it has no gradient and keeps its weights."""
    before = bench.load(parent.id).model.nets.state_dict()
    made = bench.load(bench.train("stargan", f"latents:{parent.id}", *TINY, seed=1, **SHORT).id)
    coder = made.data.render
    x = torch.from_numpy(np.array(made.data.test.x[:2])).requires_grad_()
    coder(made.model.translate(x, torch.tensor([1, 2]))).sum().backward()
    assert x.grad.abs().sum() > 0
    for name, value in coder._nets.state_dict(keep_vars=True).items():
        assert value.grad is None
        assert torch.equal(value, before[name])


def test_faces_train_with_five_attributes_and_draw_the_attribute_matrix(
    bench, command_line, places, tmp_path
):
    small_celeba(bench.access.root, HAIR)
    sets = ("data.size=16", "data.attributes=" + json.dumps(HAIR), "run.metrics=[]", *TINY)
    run = bench.train("stargan", "celeba", *sets, **{**SHORT, "batch_size": 8})
    loaded = bench.load(run.id)
    assert loaded.data.spec.attributes == tuple(HAIR)
    domains = domains_of((), "", loaded.data.spec)
    usual = translations(loaded.model, loaded.data, loaded.device, np.arange(3), domains)
    assert [name for name, _ in usual.groups] == ["original", *(f"opposite {h}" for h in HAIR)]
    assert usual.images.shape == (3 * 6, 3, 16, 16)
    words = ("--to", "Blond_Hair", "--to", "Male,not Young", "-n", "4", "--out", "matrix.png")
    said = command_line("translate", run.id, *words, folder=tmp_path, env=places)
    assert said.code == 0, said.err
    with Image.open(tmp_path / "matrix.png") as sheet:
        assert sheet.size[1] > 4 * 56


# --- domains


def test_a_class_or_attributes_name_a_domain():
    assert domains_of(["3", "8"], "--to", DIGITS) == [
        Domain(name="3", on=3),
        Domain(name="8", on=8),
    ]
    own = torch.arange(8)
    blond, not_male, both, five = domains_of(
        ["blond hair", "not Male", "Old,not Blond_Hair", "5"], "--to", FACES
    )
    assert classes_in(blond, own, 8).tolist() == [4, 5, 6, 7, 4, 5, 6, 7]
    assert classes_in(not_male, own, 8).tolist() == [0, 1, 0, 1, 4, 5, 4, 5]
    assert classes_in(both, own, 8).tolist() == [1, 1, 3, 3, 1, 1, 3, 3]
    assert classes_in(five, None, 2).tolist() == [5, 5]
    opposite = domains_of((), "--to", FACES)[1]
    assert classes_in(opposite, own, 8).tolist() == [2, 3, 0, 1, 6, 7, 4, 5]


@pytest.mark.parametrize(
    ("text", "data", "words"),
    [
        ("12", DIGITS, "'digits' has the classes 0 to 9"),
        ("Mael", FACES, "has no attribute 'mael'; did you mean 'male'"),
        ("9", FACES, "'faces' has the classes 0 to 7"),
    ],
)
def test_an_unknown_domain_is_refused_with_what_there_is(text, data, words):
    with pytest.raises(UsageError, match=words):
        domains_of([text], "--to", data)


# --- pictures


def test_the_first_column_is_the_original_and_the_others_are_the_classes(bench, stargan):
    loaded, rows = bench.load(stargan.id), np.array([5, 1])
    picture = translations(
        loaded.model, loaded.data, loaded.device, rows, domains_of(["3", "8"], "", DIGITS)
    )
    images = picture.images.view(2, 3, 1, 8, 8)
    assert np.array_equal(images[:, 0], loaded.data.test.x[rows])
    x = torch.from_numpy(loaded.data.test.x[rows]).float() / 127.5 - 1
    with torch.no_grad():
        eights = loaded.model.translate(x, torch.tensor([8, 8]))
    assert torch.equal(images[:, 2], ((eights + 1) * 127.5).round().byte())


@pytest.fixture
def folder(tmp_path):
    """Two pictures of 12 px, in subfolders that are named after classes."""
    for name, grey in (("3", 40), ("8", 200)):
        (tmp_path / name).mkdir()
        Image.new("RGB", (12, 12), (grey, grey, grey)).save(tmp_path / name / "one.png")
    return tmp_path


@pytest.mark.parametrize("which", ["stargan", "graft", "on_labels", "cvae"])
def test_own_pictures_are_translated_like_test_images(bench, folder, which, request):
    loaded = bench.load(request.getfixturevalue(which).id)
    images, labels = images_in(folder, loaded.data.spec, bench.registry, bench.access)
    assert images.shape == (2, 1, 8, 8)
    assert sorted(zip(labels.tolist(), images[:, 0, 0, 0].tolist(), strict=True)) == [
        (3, 40),
        (8, 200),
    ]
    out = folder / "matrix.png"
    translate(loaded, Translation(to=["1"], images=images, labels=labels), out)
    with Image.open(out) as sheet:
        assert np.asarray(sheet).std() > 0


def test_a_model_that_needs_the_own_class_says_how_to_name_it(bench, folder, cvae, stargan):
    images, _ = images_in(folder, bench.load(cvae.id).data.spec, bench.registry, bench.access)
    out = folder / "matrix.png"
    with pytest.raises(UsageError, match=r"the class of these images isn't known.*--from CLASS"):
        translate(bench.load(cvae.id), Translation(images=images), out)
    translate(bench.load(cvae.id), Translation(images=images, own="3"), out)
    translate(bench.load(stargan.id), Translation(images=images), out)
    with pytest.raises(UsageError, match="--from 3 is the class of --images"):
        translate(bench.load(cvae.id), Translation(own="3"), out)


def test_codes_of_given_images_are_those_of_the_data_set(bench, parent, cvae):
    """Its encoder is that of the source run; means, since a draw would be another each time."""
    for source in (parent, cvae):
        data = bench.data(LatentsSettings(run=source.id, draw="mean"))
        images = torch.from_numpy(np.array(data.source.test.x[:5])).float() / 127.5 - 1
        codes = data.encode(images, torch.from_numpy(data.test.y[:5]))
        assert codes.detach().numpy() == pytest.approx(data.test.x[:5], abs=1e-5)


def test_models_without_translations_are_refused(bench, parent, tmp_path):
    with pytest.raises(IncompatibleError, match="is not a model that translates"):
        translate(bench.load(parent.id), Translation(), tmp_path / "x.png")
