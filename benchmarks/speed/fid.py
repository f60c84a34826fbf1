"""The Fréchet inception distance: genbench against torch-fidelity and pytorch-fid.

All three get the same Inception-v3, with weights that are drawn at random from a fixed seed: the
published ones are a download, and neither the seconds nor the agreement depend on them. On the CPU
nearly all of the time is Inception, so it is measured per image; the distance of features is
measured once. Each program reads PNG files, in its own batches and with its own worker processes.
"""

from __future__ import annotations

import io
import tempfile
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from genbench_metrics.frechet import Moments, frechet_distance
from genbench_metrics.inception import LAYER, InceptionFeatures
from speed.notebook import Images
from speed.pair import Pair, Seconds, timed

FEATURES = 10_000
"""Features in each of the two sets between which the distance is measured."""
READ = 500
"""Images that `genbench evaluate` scores at once."""

Features = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Program:
    """What computes features (N, 2048) of PNG files, and the distance of two sets of them."""

    name: str
    features: Callable[[list[Path]], Features]
    distance: Callable[[Features, Features], float]


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Relative differences to genbench: of features, by their largest, and of the distance."""

    program: str
    features: float
    distance: float


def random_weights(path: Path) -> None:
    """Write Inception-v3 with random weights that keep the scale of the signal."""
    from torch_fidelity import feature_extractor_inceptionv3 as published

    class Unloaded(published.FeatureExtractorInceptionV3):  # type: ignore[misc]
        def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
            return None

    torch.save({}, path)
    torch.manual_seed(0)
    network = Unloaded(LAYER, [LAYER], feature_extractor_weights_path=str(path))
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    torch.save(network.state_dict(), path)


def genbench(weights: Path) -> Program:
    """What `genbench evaluate --metric fid` computes."""
    extractor = InceptionFeatures(weights, device=torch.device("cpu"))

    def features(files: list[Path]) -> Features:
        images = torch.from_numpy(np.stack([np.asarray(Image.open(file)) for file in files]))
        images = images.unsqueeze(1) if images.dim() == 3 else images.permute(0, 3, 1, 2)
        return torch.cat([extractor.features(part) for part in images.split(READ)]).numpy()

    def distance(one: Features, other: Features) -> float:
        both = []
        for found in (one, other):
            moments = Moments()
            for part in torch.from_numpy(found).split(READ):
                moments.update(part)
            both += [moments.mean, moments.covariance]
        return frechet_distance(*both)

    return Program(name="genbench", features=features, distance=distance)


def fidelity(weights: Path) -> Program:
    """The functions of torch-fidelity's command `fidelity`, with its defaults."""
    from torch_fidelity.datasets import ImagesPathDataset, TransformPILtoRGBTensor
    from torch_fidelity.defaults import DEFAULTS
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    from torch_fidelity.metric_fid import (
        KEY_METRIC_FID,
        fid_features_to_statistics,
        fid_statistics_to_metric,
    )
    from torch_fidelity.utils import get_featuresdict_from_dataset

    network = FeatureExtractorInceptionV3(
        "inception-v3-compat", [LAYER], feature_extractor_weights_path=str(weights)
    )

    def features(files: list[Path]) -> Features:
        data = ImagesPathDataset([str(file) for file in files], TransformPILtoRGBTensor())
        size = DEFAULTS["batch_size"]
        found = get_featuresdict_from_dataset(data, network, size, False, False, False)
        made: Features = found[LAYER].numpy()
        return made

    def distance(one: Features, other: Features) -> float:
        both = [fid_features_to_statistics(torch.from_numpy(found)) for found in (one, other)]
        return float(fid_statistics_to_metric(*both, verbose=False)[KEY_METRIC_FID])

    return Program(name="fidelity", features=features, distance=distance)


def pytorch_fid(weights: Path) -> Program:
    """The functions of the command `pytorch-fid`, with its defaults."""
    from pytorch_fid.fid_score import calculate_frechet_distance, get_activations
    from pytorch_fid.inception import InceptionV3

    published = Path(torch.hub.get_dir()) / "checkpoints" / "pt_inception-2015-12-05-6726825d.pth"
    published.parent.mkdir(parents=True, exist_ok=True)
    published.write_bytes(weights.read_bytes())  # else it downloads them
    network = InceptionV3([InceptionV3.BLOCK_INDEX_BY_DIM[2048]])

    def features(files: list[Path]) -> Features:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):  # its progress bar
            made: Features = get_activations(files, network, num_workers=2)
        return made

    def distance(one: Features, other: Features) -> float:
        both = [part for f in (one, other) for part in (f.mean(0), np.cov(f, rowvar=False))]
        return float(calculate_frechet_distance(*both))

    return Program(name="pytorch-fid", features=features, distance=distance)


def fid_pairs(
    images: Images, rounds: int, names: tuple[str, ...]
) -> tuple[list[Pair], list[Agreement]]:
    """Pairs of features and of distances with each program, and how they agree."""
    makers = {"fidelity": fidelity, "pytorch-fid": pytorch_fid}
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pytorch-fid uses a deprecated argument of SciPy
        folder = Path(name)
        torch.hub.set_dir(folder)
        weights = folder / "random.pth"
        random_weights(weights)
        ours, others = genbench(weights), [makers[name](weights) for name in names]
        pairs = _feature_pairs(ours, others, _written(images, folder / "small"), rounds)
        large = torch.nn.functional.interpolate(torch.from_numpy(images[:8]).float(), (299, 299))
        files = _written(large.to(torch.uint8).numpy(), folder / "large")
        apart = {one.name: _apart(one.features(files), ours.features(files)) for one in others}
        distances, values = _distance_pairs(ours, others)
    agreements = [
        Agreement(
            program=one.name,
            features=apart[one.name],
            distance=abs(values[one.name] / values[ours.name] - 1),
        )
        for one in others
    ]
    return [*pairs, *distances], agreements


def _feature_pairs(
    ours: Program, others: list[Program], files: list[Path], rounds: int
) -> list[Pair]:
    pairs = [Pair(f"Inception features: {one.name}", f"{len(files)} images") for one in others]
    for round_ in range(rounds + 1):
        some = files if round_ else files[:10]  # the first one warms up
        own = timed(partial(ours.features, some))
        for pair, other in zip(pairs, others, strict=True):
            theirs = timed(partial(other.features, some))
            if round_:
                pair.add(theirs, own)
    return pairs


def _distance_pairs(ours: Program, others: list[Program]) -> tuple[list[Pair], dict[str, float]]:
    """One round with correlated features that are not negative, as Inception's are."""
    draw = torch.Generator().manual_seed(0)
    mixed = torch.randn(2048, 2048, generator=draw) / 2048**0.5
    sets = [
        (torch.randn(FEATURES, 2048, generator=draw) @ mixed + shift).relu().numpy()
        for shift in (0.5, 0.55)
    ]
    values: dict[str, float] = {}

    def measured(program: Program) -> Seconds:
        return timed(lambda: values.update({program.name: program.distance(*sets)}))

    own, pairs = measured(ours), []
    for other in others:
        pair = Pair(f"distance of 2 x {FEATURES:,} features: {other.name}", "one round")
        pair.add(measured(other), own)
        pairs.append(pair)
    return pairs, values


def _written(images: Images, folder: Path) -> list[Path]:
    """The images as grey PNG files."""
    folder.mkdir()
    files = [folder / f"{k:05}.png" for k in range(len(images))]
    for file, image in zip(files, images, strict=True):
        Image.fromarray(image[0]).save(file)
    return files


def _apart(one: Features, other: Features) -> float:
    return float(np.abs(one - other).max() / np.abs(other).max())


def whole(pairs: list[Pair], images: int) -> tuple[float, float, float]:
    """Seconds of a distance of ``images`` to as many, from a pair of features and one of distances.

    Theirs, ours, and ours with a reference that is in the cache.
    """
    features, distance = pairs
    n = int(features.unit.split()[0])
    theirs, ours = (
        [np.median([seconds[0] for seconds in side]) for side in sides]
        for sides in ((features.theirs, distance.theirs), (features.ours, distance.ours))
    )
    return (
        2 * images * theirs[0] / n + theirs[1],
        2 * images * ours[0] / n + ours[1],
        images * ours[0] / n + ours[1],
    )
