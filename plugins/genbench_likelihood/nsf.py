"""The neural spline flow (Durkan, Bekasov, Murray & Papamakarios 2019, arXiv:1906.04032), by zuko.

RQ-NSF (C) of the paper: couplings with monotonic rational-quadratic splines in the place of an
affine map, so that a single coupling can already have several modes. Images and grids are
flattened, and the values that a layer keeps are random (fixed by the seed of the run).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from genbench import DataSpec
from genbench_likelihood.flow import Bijection, Flow
from genbench_likelihood.flow_settings import NSFSettings
from genbench_nets.mlp import flat_size


def nsf(settings: NSFSettings, data: DataSpec) -> Flow:
    """The flow for this data. Raises IncompatibleError if zuko is not installed."""
    settings.check(data)
    s = settings.fitted(data)
    return Flow(SplineCouplings(s, data.shape), data, s)


class SplineCouplings(Bijection):
    """zuko's flow as a bijection; ``passes=2`` makes its autoregressive layers couplings."""

    def __init__(self, s: NSFSettings, shape: tuple[int, ...]) -> None:
        super().__init__()
        from zuko.flows import NSF

        dims = flat_size(shape)
        self.shape = shape
        self.transform = NSF(
            dims,
            bins=s.bins,
            transforms=s.layers,
            hidden_features=s.hidden,
            passes=2,
            randperm=dims > 2,
        ).transform

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """z (B, D), and the log-determinant (B,)."""
        z, log_det = self._map().call_and_ladj(x.flatten(1))
        return z, log_det

    def inverse(self, z: Tensor) -> Tensor:
        """x (B, *shape)."""
        x: Tensor = self._map().inv(z)
        return x.view(-1, *self.shape)

    def _map(self) -> Any:
        return self.transform(None)
