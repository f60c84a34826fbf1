"""The laws of fid: torch-fidelity's number, weights by path, and one sentence without them."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch_fidelity
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import BasicConv2d, FeatureExtractorInceptionV3
from torch_fidelity.metric_fid import (
    KEY_METRIC_FID,
    fid_features_to_statistics,
    fid_statistics_to_metric,
)

from genbench import Data, DataError, DataSpec, Score, Split, UsageError
from genbench.testing import check_metric, small_data
from genbench_metrics import reference
from genbench_metrics.fid import Fid
from genbench_metrics.frechet import frechet_distance
from genbench_metrics.inception import FoldedConv, _network
from genbench_metrics.metric_settings import FidSettings

SHAPE = (3, 24, 24)


class Images(torch.utils.data.Dataset[torch.Tensor]):
    """Bare uint8 tensors, as torch-fidelity wants them."""

    def __init__(self, images: np.ndarray[Any, Any]) -> None:
        self.images = torch.from_numpy(np.array(images))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.images[index]


def _score(metric: Fid, context: Any, images: np.ndarray[Any, Any]) -> Score:
    metric.begin(context)
    for batch in torch.from_numpy(np.array(images)).split(10):
        metric.update(batch)
    (score,) = metric.result()
    return score


def test_fid_is_torch_fidelitys_on_64_of_the_2048_features(
    context: Any, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The distance of all of them takes 20 s."""
    few = slice(64)

    def distance(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> float:
        return frechet_distance(mean1[few], cov1[few, few], mean2[few], cov2[few, few])

    monkeypatch.setattr(reference, "frechet_distance", distance)
    made = context(shape=SHAPE, test=_few(SHAPE, 3, 1), train=_few(SHAPE, 2, 2), n=3)
    noise = np.random.default_rng(0).integers(0, 256, (3, *SHAPE), dtype=np.uint8)
    ours = _score(Fid(FidSettings(weights=str(weights))), made, noise)
    published = FeatureExtractorInceptionV3(
        "x", ["2048"], feature_extractor_weights_path=str(weights)
    )
    with torch.no_grad():
        features = [published(torch.from_numpy(x.copy()))[0] for x in (noise, made.data.test.x)]
    theirs = fid_statistics_to_metric(
        *(fid_features_to_statistics(found[:, few]) for found in features), verbose=False
    )
    assert ours.value == pytest.approx(theirs[KEY_METRIC_FID], rel=1e-5)
    assert ours.protocol["weights"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert ours.protocol["extractor"] == "inception-v3-compat"
    assert ours.protocol["torch-fidelity"] == torch_fidelity.__version__
    assert "n = 3 is below 10 x 2048" in ours.note


@pytest.mark.slow
def test_fid_is_torch_fidelitys_on_the_same_images_and_weights(context: Any, weights: Path) -> None:
    made = context(shape=SHAPE, test=_few(SHAPE, 5, 1), train=_few(SHAPE, 2, 2), n=5)
    noise = np.random.default_rng(0).integers(0, 256, (5, *SHAPE), dtype=np.uint8)
    ours = _score(Fid(FidSettings(weights=str(weights))), made, noise)
    theirs = torch_fidelity.calculate_metrics(
        input1=Images(noise),
        input2=Images(made.data.test.x),
        fid=True,
        cuda=False,
        save_cpu_ram=True,
        cache=False,
        verbose=False,
        batch_size=5,
        feature_extractor_weights_path=str(weights),
    )["frechet_inception_distance"]
    assert ours.value == pytest.approx(theirs, rel=1e-5)


def test_a_folded_convolution_is_the_published_one_with_any_statistics() -> None:
    torch.manual_seed(0)
    block = BasicConv2d(3, 8, kernel_size=3, stride=2, padding=1).eval()
    block.bn.running_mean.normal_()
    block.bn.running_var.uniform_(0.1, 2.0)
    nn.init.normal_(block.bn.weight)
    nn.init.normal_(block.bn.bias)
    x = torch.randn(2, 3, 9, 9)
    with torch.no_grad():
        torch.testing.assert_close(FoldedConv(block)(x), block(x))


def test_grey_images_are_repeated_to_rgb(weights: Path) -> None:
    from genbench_metrics.inception import InceptionFeatures

    extractor = InceptionFeatures(weights, device=torch.device("cpu"))
    grey = torch.randint(0, 256, (2, 1, 20, 20), dtype=torch.uint8)
    assert torch.equal(extractor.features(grey), extractor.features(grey.repeat(1, 3, 1, 1)))


def test_without_weights_one_sentence_names_both_ways_to_fix_it(
    context: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(
        DataError, match=r"without GENBENCH_OFFLINE.*--set metric\.fid\.weights=PATH"
    ):
        Fid().begin(context())


def test_a_download_that_fails_says_why_and_how_to_go_on(
    context: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*args: Any, **kwargs: Any) -> None:
        raise OSError("network is unreachable")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    with pytest.raises(DataError, match=r"network is unreachable.*--set metric\.fid\.weights=PATH"):
        Fid().begin(context(offline=False))


def test_a_cached_file_that_is_not_the_published_one_is_refused(
    context: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: Path
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "hub" / "checkpoints" / "weights-inception-2015-12-05-6726825d.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(weights.read_bytes())
    with pytest.raises(DataError, match="is not the published Inception file"):
        Fid().begin(context())


def test_weights_that_would_run_code_are_refused_unrun(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "it ran",)

    with pytest.raises(DataError, match="does not have torch-fidelity's Inception weights"):
        _network(pickle.dumps({"weight": Trap()}), tmp_path / "trap.pth")
    assert not (tmp_path / "it ran").exists()


def test_weights_of_another_network_are_refused_by_name(context: Any, tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save(nn.Linear(2, 2).state_dict(), path)
    with pytest.raises(DataError, match=r"other\.pth does not have"):
        Fid(FidSettings(weights=str(path))).begin(context())
    with pytest.raises(DataError, match=r"no Inception weights at .*nowhere"):
        Fid(FidSettings(weights=str(tmp_path / "nowhere"))).begin(context())


def test_fid_of_points_names_fd_pixel(context: Any) -> None:
    split = Split(x=np.zeros((9, 2), np.float32), y=None, digest="p")
    points = Data(spec=DataSpec(name="ring", shape=(2,)), train=split, test=split)
    with pytest.raises(UsageError, match="use fd_pixel"):
        Fid().begin(context(data=points))


def _few(shape: tuple[int, int, int], n: int, seed: int) -> Split:
    order = np.random.default_rng(seed)
    x = (order.random((n, 3, 1, 1)) * np.linspace(0, 255, shape[2])).astype(np.uint8)
    x = np.broadcast_to(x, (n, *shape)).copy()
    return Split(x=x, y=None, digest=f"ramps {seed}")


@pytest.mark.slow
def test_fid_keeps_the_contract(weights: Path) -> None:
    check_metric("fid", FidSettings(weights=str(weights)), data=small_data(train=32, test=24))
