"""The neural spline flow (Durkan, Bekasov, Murray & Papamakarios 2019, arXiv:1906.04032), by zuko.

RQ-NSF (C) of the paper: couplings with monotonic rational-quadratic splines in the place of an
affine map, so that a single coupling can already have several modes. Images and grids are
flattened, and the values that a layer keeps are random (fixed by the seed of the run).
"""

from __future__ import annotations

from torch import Tensor

from genbench import DataSpec
from genbench_likelihood.flow import Bijection, Flow, label_count
from genbench_likelihood.flow_settings import NSFSettings
from genbench_nets.mlp import flat_size


def nsf(settings: NSFSettings, data: DataSpec) -> Flow:
    """The flow for this data. Raises IncompatibleError if zuko is not installed."""
    settings.check(data)
    s = settings.fitted(data)
    return Flow(SplineCouplings(s, data), data, s)


class SplineCouplings(Bijection):
    """zuko's flow as a bijection; ``passes=2`` makes its autoregressive layers couplings."""

    def __init__(self, s: NSFSettings, data: DataSpec) -> None:
        super().__init__()
        from zuko.flows import NSF

        dims = flat_size(data.shape)
        self.shape = data.shape
        self.transform = NSF(
            dims,
            context=label_count(s, data),
            bins=s.bins,
            transforms=s.layers,
            hidden_features=s.hidden,
            passes=2,
            randperm=dims > 2,
        ).transform

    def forward(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z (B, D), and the log-determinant (B,)."""
        z, log_det = self.transform(labels).call_and_ladj(x.flatten(1))
        return z, log_det

    def inverse(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """x (B, *shape)."""
        x: Tensor = self.transform(labels).inv(z)
        return x.view(-1, *self.shape)
