"""The laws of the cache of reference statistics and classifiers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor

from genbench.features.tensor_cache import cached_tensors


class Builder:
    """Builds a tensor that tells how often it was built."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> dict[str, Tensor]:
        self.times += 1
        return {"value": torch.full((100,), float(self.times), dtype=torch.float64)}


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def _flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def test_tensors_are_built_once_and_read_back_bitwise(tmp_path: Path) -> None:
    build = Builder()
    first = cached_tensors(tmp_path / "new", "a", {"k": 1}, build)
    again = cached_tensors(tmp_path / "new", "a", {"k": 1}, build)
    assert build.times == 1
    assert torch.equal(first["value"], again["value"])
    assert again["value"].dtype == torch.float64


def test_another_key_is_another_entry(tmp_path: Path) -> None:
    build = Builder()
    cached_tensors(tmp_path, "a", {"k": 1}, build)
    assert cached_tensors(tmp_path, "a", {"k": 2}, build)["value"][0] == 2


@pytest.mark.parametrize("damage", [_truncate, _flip_a_bit, _empty])
def test_a_damaged_file_is_made_again(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    build = Builder()
    cached_tensors(tmp_path, "a", {}, build)
    (path,) = tmp_path.iterdir()
    damage(path)
    assert cached_tensors(tmp_path, "a", {}, build)["value"][0] == 2
    assert cached_tensors(tmp_path, "a", {}, build)["value"][0] == 2
    assert build.times == 2


def test_of_many_writers_at_once_all_get_the_first_ones_tensors(tmp_path: Path) -> None:
    def take(index: int) -> float:
        value = {"value": torch.full((1000,), float(index))}
        return float(cached_tensors(tmp_path, "a", {}, lambda: value)["value"][0])

    with ThreadPoolExecutor(8) as pool:
        taken = set(pool.map(take, range(32)))
    assert len(taken) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_made_costs_time_and_not_the_score(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert cached_tensors(tmp_path / "file" / "cache", "a", {}, Builder())["value"][0] == 1
