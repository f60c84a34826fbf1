"""A student learns the samples of its teacher, and is as wide as it was asked to be."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from genbench.contracts import Batch, Discriminates, ParentRun
from genbench.errors import IncompatibleError
from genbench.registry import Registry
from genbench.settings import ModelSettings
from genbench.spec import RunSpec
from genbench.testing import small_data
from genbench_compress import content_aware, student
from genbench_compress.distil import Lesson
from genbench_compress.distil_settings import ContentAwareSettings, DistilSettings
from genbench_compress.nets import judging
from genbench_compress.simultaneous import triplet_loss
from genbench_compress.teacher import Teacher

REGISTRY = Registry.from_environment()
DATA = small_data().spec


def built(name="gan", seed=0, **settings):
    torch.manual_seed(seed)
    values = REGISTRY.settings("model", name)(**settings).fitted(DATA)
    return REGISTRY.target("model", name)(values, DATA)


GAN = {"z_dim": 4, "g_hidden": (8,), "d_hidden": (8,), "g_norm": "identity", "d_dropout": 0.0}


def parent(*given, **settings):
    return ParentRun(
        run="r0",
        data=DATA,
        trained=lambda: built(*given, **settings),
        initial=lambda: built(*given, **settings),
    )


def lesson(model, teacher, **settings):
    return Lesson(model, Teacher(teacher), DistilSettings(**settings), DATA.shape)


@pytest.mark.parametrize(
    ("name", "settings"),
    [("gan", GAN), ("vae", {"hidden": (8,), "z_dim": 4}), ("cvae", {"hidden": (8,), "z_dim": 4})],
)
def test_a_student_that_is_its_teacher_has_no_distance(name, settings):
    model = built(name, seed=5, **settings)
    batch = Batch(x=torch.zeros(6, *DATA.shape), y=torch.arange(6) % 4)
    kinds = ("mse", "l1", "feature") if isinstance(model, Discriminates) else ("mse", "l1")
    for kind in kinds:
        assert lesson(model, parent(name, **settings), distance=kind)(batch)["distance"] > 0
    model.nets.load_state_dict(built(name, **settings).nets.state_dict())
    for kind in kinds:
        assert lesson(model, parent(name, **settings), distance=kind)(batch)["distance"] == 0


def test_every_model_that_makes_images_of_noise_declares_its_widths():
    for registered in REGISTRY.of("model"):
        cls = REGISTRY.settings("model", registered.name)
        if "generates" in registered.capabilities and registered.name != "pixelcnn":
            assert cls.widths, registered.name
            assert set(cls.widths) <= set(cls.model_fields), registered.name


@pytest.mark.parametrize(("width", "expected"), [(1, (8, 16)), (0.25, (2, 4)), (0.01, (1, 1))])
def test_a_student_is_as_wide_as_asked(width, expected):
    teacher = REGISTRY.settings("model", "gan")(g_hidden=(8, 16), d_hidden=(9,))
    made = DistilSettings(width=width).student_of(teacher)
    assert (made.g_hidden, made.d_hidden, made.z_dim) == (expected, (9,), None)


def test_a_model_without_widths_is_refused_in_one_sentence():
    class Plain(ModelSettings):
        """No widths."""

    assert Plain().narrowed(1) == Plain()
    with pytest.raises(IncompatibleError, match=r"declares no widths.*--set model.KEY=VALUE"):
        Plain().narrowed(0.5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"z_dim": 5}, r"takes z of shape \(5,\), and the teacher \(4,\)"),
        ({"prior": "uniform"}, "noise is uniform and the teacher's normal"),
    ],
)
def test_a_student_that_cannot_take_the_teachers_noise_is_refused(change, words):
    with pytest.raises(IncompatibleError, match=words):
        student.check_student(built(**{**GAN, **change}), built(**GAN))


def test_features_need_a_discriminator():
    compressor = REGISTRY.target("compressor", "distil")(DistilSettings(distance="feature"))
    settings = {"hidden": (8,), "z_dim": 4}
    with pytest.raises(IncompatibleError, match="VAE has none; set distance=mse or l1"):
        compressor.check(built("vae", **settings), parent("vae", **settings))


def test_hidden_features_are_what_the_last_layer_of_a_discriminator_gets():
    model, x = built(**GAN), torch.randn(3, *DATA.shape)
    found = student.hidden_features(model, x, None, judging(model))
    assert torch.equal(found, model.discriminator.features(x))


def test_the_triplet_is_zero_where_the_teacher_is_nearer_by_the_margin():
    real = torch.zeros(2, 3)
    near, far = torch.full((2, 3), 0.5), torch.full((2, 3), 1.0)
    assert triplet_loss(real, near, far, margin=1.5) == 0
    assert triplet_loss(real, near, far, margin=2.0) == 0.5
    assert triplet_loss(real, far, near, margin=0.0) == 1.5


def test_the_foreground_is_what_differs_from_the_border_and_its_surroundings():
    images = torch.full((1, 1, 8, 8), -1.0)
    images[0, 0, 3, 4] = 1.0
    inside = content_aware.mask_of(images, ContentAwareSettings(grow=1))
    expected = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    expected[0, 0, 2:5, 3:6] = True
    assert torch.equal(inside, expected)


def test_what_is_outside_the_mask_teaches_nothing():
    model, teacher = built(seed=1, **GAN), Teacher(parent(**GAN))
    centre = ContentAwareSettings(mask="centre")
    lesson = content_aware.MaskedLesson(model, teacher, centre, DATA.shape)
    theirs, own = torch.zeros(2, 1, 8, 8), torch.zeros(2, 1, 8, 8)
    own[:, :, 0] = 1.0
    assert lesson.between(own, theirs, None) == 0
    own[:, :, 3, 3] = 1.0
    assert lesson.between(own, theirs, None) == 1 / 16  # one pixel of 4x4


def test_a_channel_without_effect_on_the_content_is_removed_first():
    pytest.importorskip("torch_pruning")
    model = built(**GAN)
    last = model.generator[2]
    with torch.no_grad():
        last.weight[:, [1, 6]] = 0.0
    kept = last.weight.detach()[:, [0, 2, 3, 4, 5, 7]].clone()
    content_aware.remove(model, ContentAwareSettings(ratio=0.25, mask="centre", samples=8))
    assert torch.equal(model.generator[2].weight, kept)


def test_a_content_aware_check_leaves_batch_normalisation_as_it_is():
    settings = {**GAN, "g_norm": "batch"}
    model = built(**settings)
    before = {name: tensor.clone() for name, tensor in model.nets.state_dict().items()}
    method = content_aware.ContentAware(ContentAwareSettings())
    method.check(model, parent(**settings))
    assert all(torch.equal(before[name], t) for name, t in model.nets.state_dict().items())
    assert model.nets.training


# --- as runs


def test_distilled_runs_are_runs_of_the_given_width(bench, dcgan):
    trained = bench.load(dcgan).model.nets.state_dict()
    for method, sets in (
        ("distil", ("width=0.5",)),
        ("distil-simultaneous", ("width=0.25", "distance=l1")),
    ):
        made = bench.compress(dcgan, method, *sets, epochs=1)
        spec = RunSpec.from_json(made.spec)
        channels = 8 * (0.5 if method == "distil" else 0.25)
        assert spec.model_settings["g_channels"] == channels
        assert spec.model_settings["d_channels"] == 4
        weights = bench.load(made).model.nets.state_dict()
        assert weights["generator.1.weight"].shape == (16, 2 * channels, 7, 7)
        assert weights["discriminator.0.weight"].shape == trained["discriminator.0.weight"].shape
        names = {name for (name,) in bench.store.rows("SELECT name FROM metric_keys")}
        assert any(name.endswith("distance") for name in names)


def test_a_vae_learns_on_the_distance_alone_and_with_its_own_loss(bench, vae):
    own = bench.compress(vae, "distil", "width=0.5", epochs=1)
    alone = bench.compress(vae, "distil", "width=0.5", "own_loss=false", epochs=1)
    for made in (own, alone):
        assert RunSpec.from_json(made.spec).model_settings["hidden"] == [16]
        assert bench.load(made).model.nets["decoder"][0].weight.shape == (16, 4)


def test_a_students_own_sizes_are_set_over_its_width(bench, vae):
    spec = bench.planned(vae, "distil", "width=0.5", "model.hidden=[7]")
    assert spec.model_settings["hidden"] == [7]
    with pytest.raises(IncompatibleError, match="leave out the settings that change z"):
        bench.run(bench.planned(vae, "distil", "model.z_dim=3"))


def test_a_content_aware_student_inherits_the_channels_that_count(bench, dcgan):
    pytest.importorskip("torch_pruning")
    made = bench.compress(dcgan, "content-aware", "ratio=0.5", "samples=16", epochs=1)
    weights = bench.load(made).model.nets.state_dict()
    assert weights["generator.1.weight"].shape == (16, 8, 7, 7)
    assert replace(RunSpec.from_json(made.spec)).compressors[-1].name == "content-aware"
