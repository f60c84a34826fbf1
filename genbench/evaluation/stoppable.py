"""Samplers, downloads and decoding that end when a stop is requested."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from genbench.contracts import DataAccess, SampleContext, Sampler
from genbench.errors import InterruptedRunError
from genbench.events import ShouldStop


class StoppableSampler:
    """A sampler that ends between two minibatches when a stop is requested.

    ``draw`` then raises InterruptedRunError; scores that were complete before are kept.
    """

    def __init__(self, sampler: Sampler, should_stop: ShouldStop) -> None:
        self.sampler, self.should_stop = sampler, should_stop
        self.requires = getattr(sampler, "requires", ())

    def draw(self, model: Any, n: int, context: SampleContext) -> Iterator[Tensor]:
        """The minibatches of the wrapped sampler."""
        for images in self.sampler.draw(model, n, context):
            stop_if(self.should_stop)
            yield images

    def diagnostics(self) -> Mapping[str, float]:
        """The diagnostics of the wrapped sampler."""
        return self.sampler.diagnostics()

    def exactness(self) -> str:
        """The exactness of the wrapped sampler; empty if it has no such method."""
        text: str = getattr(self.sampler, "exactness", str)()
        return text


def stoppable(access: DataAccess, should_stop: ShouldStop) -> DataAccess:
    """The access with a progress that ends a download or decoding when a stop is requested."""
    inner = access.progress

    def progress(what: str, done: int, total: int | None) -> None:
        stop_if(should_stop)
        if inner is not None:
            inner(what, done, total)

    return replace(access, progress=progress)


def stop_if(should_stop: ShouldStop) -> None:
    """Raise InterruptedRunError if a stop is requested."""
    if should_stop():
        raise InterruptedRunError("stopped on request")
