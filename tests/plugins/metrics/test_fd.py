"""The laws of fd_clf and fd_pixel: reference, floor, protocol, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from genbench import Data, DataAccess, DataSpec, Metric, Score, Split, UsageError
from genbench.features import classifier, lenet
from genbench.features.classifier import SHIPPED, classifier_for, shipped
from genbench.features.extractor import PixelFeatures, resized
from genbench.features.lenet import LeNet, Recipe, accuracy
from genbench.registry import Registry
from genbench_metrics.fd_clf import FdClf
from genbench_metrics.fd_pixel import FdPixel
from genbench_metrics.metric_settings import FdPixelSettings

CPU = torch.device("cpu")
QUICK = Recipe(images=6_000, batch_size=50)


def _score(metric: Metric, context: Any, images: np.ndarray[Any, Any]) -> Score:
    metric.begin(context)
    for batch in torch.from_numpy(np.array(images)).split(37):
        metric.update(batch)
    (score,) = metric.result()
    return score


def _digits(cache: Path) -> Data:
    registry = Registry.from_environment()
    settings = registry.settings("dataset", "digits")()
    access = DataAccess(root=cache, cache=cache, offline=True)
    data: Data = registry.target("dataset", "digits")(settings).load(access)
    return data


def test_the_test_split_itself_is_at_distance_zero_and_noise_is_far(context: Any) -> None:
    made = context()
    noise = np.random.default_rng(0).integers(0, 256, (120, 1, 16, 16), dtype=np.uint8)
    same = _score(FdPixel(), made, made.data.test.x)
    assert same.value == pytest.approx(0, abs=1e-6)
    assert same.floor is not None
    assert 0 < same.floor < _score(FdPixel(), made, noise).value


def test_samples_from_the_training_split_score_the_floor_on_average(context: Any) -> None:
    made, order = context(n=100), np.random.default_rng(5)
    draws = [order.permutation(300)[:100] for _ in range(20)]
    scores = [_score(FdPixel(), made, made.data.train.x[rows]) for rows in draws]
    assert scores[0].floor is not None
    assert np.mean([s.value for s in scores]) == pytest.approx(scores[0].floor, rel=0.15)


def test_score_says_n_direction_and_all_of_its_protocol(context: Any) -> None:
    made = context()
    score = _score(FdPixel(), made, made.data.test.x)
    assert (score.metric, score.n, score.direction) == ("fd_pixel", 120, "min")
    assert score.protocol == {
        "extractor": "pixels",
        "layer": "values in [0, 1] (256)",
        "weights": None,
        "resize": "none",
        "distance": "frechet",
        "implementation": "genbench-frechet-1",
        "n": 120,
        "reference": "test",
        "reference_n": 120,
        "reference_digest": made.data.test.digest,
    }


def test_fewer_than_ten_samples_a_dimension_are_noted(context: Any) -> None:
    made = context()
    assert "n = 120 is below 10 x 256 dimensions" in _score(FdPixel(), made, made.data.test.x).note
    rng = np.random.default_rng(0)
    split = Split(x=rng.normal(size=(500, 2)).astype(np.float32), y=None, digest="points")
    points = Data(spec=DataSpec(name="points", shape=(2,)), train=split, test=split)
    score = _score(FdPixel(), context(data=points), split.x)
    assert score.note == ""
    assert score.value == pytest.approx(0, abs=1e-9)
    assert score.protocol["layer"] == "values as given (2)"


def test_a_training_split_smaller_than_n_is_noted_as_a_floor_of_fewer(context: Any) -> None:
    made = context()
    few = Split(x=made.data.train.x[:50], y=made.data.train.y[:50], digest="few")
    score = _score(FdPixel(), context(train=few), made.data.test.x)
    assert "the floor has only 50 real images" in score.note


def test_n_takes_the_first_samples_only(context: Any) -> None:
    made = context()
    images = np.concatenate([made.data.test.x[:60], np.zeros_like(made.data.test.x[:60])])
    score = _score(FdPixel(FdPixelSettings(n=60)), made, images)
    assert score.n == score.protocol["n"] == 60
    assert score.value == _score(FdPixel(), replace(made, n=60), images[:60]).value


def test_floor_belongs_to_the_protocol_and_not_to_the_seed_of_the_run(
    context: Any, tmp_path: Path
) -> None:
    images = context().data.test.x
    floors = {
        _score(FdPixel(), context(seed=seed, cache=tmp_path / str(seed)), images).floor
        for seed in (1, 2)
    }
    assert len(floors) == 1


def test_a_metric_begins_afresh_and_takes_its_reference_from_the_cache(context: Any) -> None:
    made, metric = context(), FdPixel()
    first = _score(metric, made, made.data.train.x[:120])
    times = {path: path.stat().st_mtime_ns for path in made.cache.rglob("*.safetensors")}
    assert _score(metric, made, made.data.train.x[:120]) == first
    assert times == {path: path.stat().st_mtime_ns for path in made.cache.rglob("*.safetensors")}


def test_reference_of_a_latent_space_is_its_rendered_test_points(context: Any) -> None:
    generator = np.random.default_rng(0)
    latents = Split(x=generator.normal(size=(64, 3)).astype(np.float32), y=None, digest="z")
    data = Data(
        spec=DataSpec(name="latents", shape=(3,)),
        train=latents,
        test=latents,
        render=lambda z: torch.tanh(z)[:, :, None, None].expand(-1, -1, 4, 4),
    )
    images = np.tanh(latents.x)[:, :, None, None].repeat(4, 2).repeat(4, 3)
    pixels = np.round((images + 1) * 127.5).astype(np.uint8)
    score = _score(FdPixel(), context(data=data), pixels)
    assert score.value == pytest.approx(0, abs=1e-6)
    assert score.protocol["reference"] == "test, rendered"


@pytest.mark.parametrize(
    ("shape", "dim", "resize"),
    [
        ((1, 28, 28), 784, "none"),
        ((1, 64, 64), 1024, "box average to 32x32"),
        ((3, 32, 32), 768, "box average to 16x16"),
        ((3, 64, 48), 576, "box average to 16x12"),
    ],
)
def test_large_images_are_averaged_to_at_most_1024_values(
    shape: tuple[int, int, int], dim: int, resize: str
) -> None:
    extractor = PixelFeatures(shape)
    images = torch.randint(0, 256, (5, *shape), dtype=torch.uint8)
    features = extractor.features(images)
    assert features.shape == (5, dim)
    assert extractor.dim == dim
    assert extractor.protocol["resize"] == resize
    torch.testing.assert_close(features.mean(1), images.float().mean((1, 2, 3)) / 255)


# --- the classifier -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "least"), [("digits", 0.975), ("mnist", 0.99), ("fashion-mnist", 0.90)]
)
def test_shipped_weights_say_how_they_were_made_and_how_good_they_are(
    name: str, least: float
) -> None:
    path = classifier.WEIGHTS / f"{name}.safetensors"
    assert path.stat().st_size < 300_000
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    assert metadata["dataset"] == name
    assert metadata["architecture"] == lenet.ARCHITECTURE
    assert float(metadata["test_accuracy"]) >= least
    assert len(metadata["train_sha256"]) == 64
    assert sum(p.numel() for p in shipped(name).parameters()) == 61_706


def test_shipped_digits_classifier_is_as_good_as_its_file_says(tmp_path: Path) -> None:
    data = _digits(tmp_path)
    with safe_open(classifier.WEIGHTS / "digits.safetensors", framework="pt") as file:
        claimed = float(file.metadata()["test_accuracy"])
    assert accuracy(shipped("digits"), data, data.test, device=CPU) == pytest.approx(
        claimed, abs=0.003
    )


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_shipped_classifiers_are_as_good_as_their_files_say(
    name: str, real_data: Path, tmp_path: Path
) -> None:
    registry = Registry.from_environment()
    access = DataAccess(root=real_data, cache=tmp_path, offline=True)
    data = registry.target("dataset", name)(registry.settings("dataset", name)()).load(access)
    with safe_open(classifier.WEIGHTS / f"{name}.safetensors", framework="pt") as file:
        claimed = float(file.metadata()["test_accuracy"])
    right = accuracy(shipped(name), data, data.test, device=CPU)
    assert right == pytest.approx(claimed, abs=0.001)


def test_fd_clf_of_digits_orders_real_then_half_the_classes_then_noise(
    context: Any, tmp_path: Path
) -> None:
    data = _digits(tmp_path)
    made, y = context(data=data), data.train.y
    assert y is not None
    order = np.random.default_rng(0).permutation(len(y))
    real = _score(FdClf(), made, data.train.x[order[:360]])
    half = _score(FdClf(), made, data.train.x[order[y[order] < 5][:360]])
    noise = np.random.default_rng(0).integers(0, 256, (360, 1, 28, 28), dtype=np.uint8)
    assert real.floor is not None
    assert real.value == pytest.approx(real.floor, rel=0.5)
    assert 5 * real.value < half.value < _score(FdClf(), made, noise).value
    assert real.protocol["trained_on"] == "digits, shipped"
    assert "below 10 x 84" in real.note


def test_shipped_weights_serve_resized_variants_and_the_protocol_says_so(context: Any) -> None:
    split = context(shape=(1, 64, 64)).data.train
    data = Data(spec=DataSpec(name="mnist", shape=(1, 64, 64), classes=10), train=split, test=split)
    assert "mnist" in SHIPPED
    extractor, note = classifier_for(context(data=data), (1, 64, 64))
    assert extractor.protocol["resize"] == "28x28, bilinear, antialiased"
    assert extractor.protocol["trained_on"] == "mnist, shipped"
    assert extractor.features(torch.from_numpy(split.x[:3])).shape == (3, 84)
    assert note == ""


@pytest.mark.parametrize(("shape", "size"), [((1, 16, 16), 28), ((3, 40, 36), 32)])
def test_another_labelled_set_gets_a_classifier_trained_once(
    context: Any, shape: tuple[int, int, int], size: int
) -> None:
    made = context(shape=shape)
    first, note = classifier_for(made, shape, QUICK)
    (path,) = made.cache.rglob("classifier-*.safetensors")
    written = path.stat().st_mtime_ns
    again, _ = classifier_for(made, shape, QUICK)
    assert path.stat().st_mtime_ns == written
    assert again.protocol == first.protocol
    assert first.protocol["resize"] == f"{size}x{size}, bilinear, antialiased"
    assert first.protocol["trained_on"] == f"bars, {made.data.train.digest}"
    right = float(note.split("test accuracy ")[1].split("%")[0])
    assert right > 95


def test_other_labels_or_another_recipe_make_another_classifier(context: Any) -> None:
    made, recipe = context(), replace(QUICK, images=200)
    classifier_for(made, (1, 16, 16), recipe)
    classifier_for(made, (1, 16, 16), replace(recipe, seed=1))
    train = made.data.train
    turned = Split(x=train.x, y=1 - train.y, digest=train.digest)
    classifier_for(context(train=turned), (1, 16, 16), recipe)
    assert len(list(made.cache.rglob("classifier-*.safetensors"))) == 3


def test_training_a_classifier_leaves_the_random_numbers_of_the_run_alone(context: Any) -> None:
    torch.manual_seed(3)
    expected = torch.rand(5)
    torch.manual_seed(3)
    classifier_for(context(), (1, 16, 16), replace(QUICK, images=200))
    assert torch.equal(torch.rand(5), expected)


def test_fd_clf_without_labels_names_fd_pixel(context: Any) -> None:
    made = context()
    unlabelled = replace(made.data.train, y=None)
    with pytest.raises(UsageError, match=r"'bars' has no labels; use fd_pixel"):
        FdClf().begin(context(train=unlabelled))


def test_fd_clf_of_points_names_fd_pixel(context: Any) -> None:
    split = Split(x=np.zeros((9, 2), np.float32), y=np.zeros(9, np.int64), digest="p")
    points = Data(spec=DataSpec(name="ring", shape=(2,), classes=8), train=split, test=split)
    with pytest.raises(UsageError, match=r"'ring' has points; use fd_pixel"):
        FdClf().begin(context(data=points))


def test_lenet_sees_28_and_32_pixels_alike_and_resizing_keeps_the_range() -> None:
    images = torch.randint(0, 256, (2, 3, 50, 70), dtype=torch.uint8)
    for size in (28, 32):
        x = resized(images, size)
        assert x.shape == (2, 3, size, size)
        assert 0 <= float(x.min()) <= float(x.max()) <= 1
        assert LeNet(channels=3, classes=7, size=size)(x).shape == (2, 7)
