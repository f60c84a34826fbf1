"""Samplers, downloads and decoding that give up once a stop is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from genbench.contracts import DataAccess, SampleContext, Sampler
from genbench.errors import InterruptedRunError
from genbench.events import ShouldStop


class StoppableSampler:
    """A sampler that gives up between two minibatches once it is asked to.

    Raises InterruptedRunError from ``draw``; scores that are complete by then are kept.
    """

    def __init__(self, sampler: Sampler, should_stop: ShouldStop) -> None:
        self.sampler, self.should_stop = sampler, should_stop
        self.requires = getattr(sampler, "requires", ())

    def draw(self, model: Any, n: int, context: SampleContext) -> Iterator[Tensor]:
        """The minibatches of the sampler within."""
        for images in self.sampler.draw(model, n, context):
            stop_if(self.should_stop)
            yield images

    def diagnostics(self) -> Mapping[str, float]:
        """Those of the sampler within."""
        return self.sampler.diagnostics()

    def exactness(self) -> str:
        """What the sampler within says of its draws; empty where it says nothing."""
        told: str = getattr(self.sampler, "exactness", str)()
        return told


def stoppable(access: DataAccess, should_stop: ShouldStop) -> DataAccess:
    """The access with a progress that gives up a download or decoding once asked to stop."""
    inner = access.progress

    def progress(what: str, done: int, total: int | None) -> None:
        stop_if(should_stop)
        if inner is not None:
            inner(what, done, total)

    return replace(access, progress=progress)


def stop_if(should_stop: ShouldStop) -> None:
    """Raise InterruptedRunError once a stop is asked for."""
    if should_stop():
        raise InterruptedRunError("stopped on request")
