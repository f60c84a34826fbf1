"""Every registered model, sampler, metric and data set keeps the contract of its kind.

Options, other shapes and other networks have tests of their own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from light import light
from small_files import small_pictures

from genbench import Data, DataAccess
from genbench.registry import Registry
from genbench.testing import check_dataset, check_metric, check_model, check_sampler, small_data

REGISTRY = Registry.from_environment()
TESTS = Path(__file__).parent
ELSEWHERE = {
    "celeba": TESTS / "data" / "test_celeba.py",
    "imagenette": TESTS / "data" / "test_imagenette.py",
    "latents": TESTS.parent / "grafts" / "test_latents_data.py",
    "elbo": TESTS / "metrics" / "test_nll.py",
    "fid": TESTS / "metrics" / "test_fid.py",
    "label_accuracy": TESTS / "metrics" / "test_label_accuracy.py",
    "manifold": TESTS / "toy" / "test_triangles.py",
    "mode_std": TESTS / "toy" / "test_mode_metrics.py",
    "nll": TESTS / "metrics" / "test_nll.py",
    "translation": TESTS / "metrics" / "test_translation.py",
}
"""Parts that need files, a model or weights of their own to be checked, and where they are."""


def names(kind: Any) -> list[str]:
    # A clock is never read the same twice.
    left_out = {*ELSEWHERE, "samples_per_second", "latency"}
    return [part.name for part in REGISTRY.of(kind) if part.name not in left_out]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Data:
    access = DataAccess(root=Path("data"), cache=tmp_path_factory.mktemp("cache"), offline=True)
    settings = REGISTRY.settings("dataset", "digits")()
    data: Data = REGISTRY.target("dataset", "digits")(settings).load(access)
    return data


@pytest.mark.parametrize("name", names("model"))
def test_every_model_keeps_the_contract(name: str) -> None:
    check_model(name, light(name))


@pytest.mark.parametrize("name", names("sampler"))
def test_every_sampler_keeps_the_contract(name: str) -> None:
    check_sampler(name)


@pytest.mark.parametrize("name", names("metric"))
def test_every_metric_keeps_the_contract(name: str, digits: Data) -> None:
    kind = REGISTRY.settings("metric", name)
    if name in ("classes", "fd_clf", "is"):
        check_metric(name, data=digits)
    elif name in ("modes", "high_quality", "mode_kl"):
        check_metric(name, data=small_data((2,), train=256, test=96))
    elif kind is not None and "extractor" in kind.model_fields:
        check_metric(name, kind(extractor="pixels"))
    else:
        check_metric(name)


@pytest.mark.parametrize("name", names("dataset"))
def test_every_data_set_keeps_the_contract(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    small_pictures(tmp_path / "pictures")
    known = name in ("mnist", "fashion-mnist")
    root = request.getfixturevalue("real_data") if known else tmp_path
    access = DataAccess(root=root, cache=tmp_path / "cache", offline=True)
    few: dict[str, Any] = {
        "image-folder": {"path": str(tmp_path / "pictures"), "size": 16},
        "stacked-mnist": {"train": 100, "each": 1},
        "triangles": {"train": 100, "test": 50},
    }.get(name, {})
    check_dataset(name, REGISTRY.settings("dataset", name)(**few), access=access)


@pytest.mark.parametrize(("name", "file"), ELSEWHERE.items(), ids=ELSEWHERE)
def test_a_part_that_is_checked_elsewhere_is_checked_there(name: str, file: Path) -> None:
    assert "check_dataset(" in file.read_text() or "check_metric(" in file.read_text()
    registered = {part.name for kind in ("dataset", "metric") for part in REGISTRY.of(kind)}
    assert name in registered
