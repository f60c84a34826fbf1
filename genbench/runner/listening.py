"""A run's listeners from plugins: built before it begins, and kept from doing it any harm.

Law: a listener that raises never fails a training. Its first error is a warning of the run with a
traceback in a file, and it is not called again.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from genbench.engine.randomness import forked_rng
from genbench.errors import GenbenchError, InterruptedRunError, PluginError
from genbench.evaluation import CAUGHT, fault, who
from genbench.evaluation.run_files import write_trace
from genbench.events import (
    ArtifactMade,
    EpochDone,
    Event,
    Listener,
    Noticed,
    RunListener,
    StartedRun,
    Warned,
)
from genbench.registry import Registry
from genbench.runner.build_parts import owner_in, settings_of
from genbench.spec import Part


@dataclass(frozen=True, kw_only=True)
class Named:
    """A listener and what messages call it."""

    name: str
    listener: RunListener
    part: Part


def build_listeners(parts: Sequence[Part], registry: Registry) -> list[Named]:
    """The listeners of a run. Raises what their constructors raise, as a GenbenchError."""
    found = []
    for part in parts:
        name = who("listener", part.name, owner_in(registry))
        settings = settings_of("listener", part, registry)
        target = registry.target("listener", part.name)
        try:
            found.append(Named(name=name, listener=target(settings), part=part))
        except GenbenchError:
            raise
        except CAUGHT as error:
            raise PluginError(fault(error, name).reason) from error
    return found


class Attached:
    """Passes a run's events on to its listeners; itself a listener that never raises."""

    def __init__(
        self, listeners: Sequence[Named], run: StartedRun, device: torch.device, tell: Listener
    ) -> None:
        self._listeners, self._run, self._device = list(listeners), run, device
        self._tell, self._epoch = tell, 0
        self._record: Listener | None = None

    def begin(self, record: Listener) -> None:
        """Say that the run begins; ``record`` stores the warnings until it ends."""
        self._record = record
        self._each(lambda listener: listener.begin(self._run))

    def __call__(self, event: Event) -> None:
        """Pass an event on."""
        if isinstance(event, EpochDone):
            self._epoch = event.epoch
        self._each(lambda listener: listener.hear(event))

    def end(self, status: str) -> None:
        """Say how the run has ended, if it has begun; its rows are not changed any more."""
        begun, self._record = self._record is not None, None
        if begun:
            self._each(lambda listener: listener.end(status))

    def _each(self, call: Callable[[RunListener], None]) -> None:
        for named in tuple(self._listeners):
            try:
                with forked_rng(self._device):
                    call(named.listener)
            except CAUGHT as error:
                self._listeners.remove(named)
                self._report(named, error)

    def _report(self, named: Named, error: BaseException) -> None:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        message = f"{named.name} is left out for the rest of this run: {reason}"
        with contextlib.suppress(GenbenchError, OSError):
            trace = "".join(traceback.format_exception(error))
            path = write_trace(self._run.folder, named.name, self._epoch, trace)
            if self._record is not None:
                self._record(ArtifactMade(kind="traceback", path=path, epoch=self._epoch))
                kind = f"listener_skipped: {named.name}"
                self._record(Warned(epoch=self._epoch, kind=kind, message=message))
                return
        self._tell(Noticed(message=message))


@contextlib.contextmanager
def attached(
    listeners: Sequence[Named], run: StartedRun, device: torch.device, tell: Listener
) -> Iterator[Attached]:
    """The listeners of a run until its end; ``tell`` hears of those that fail outside of it."""
    found = Attached(listeners, run, device, tell)
    try:
        yield found
    except (InterruptedRunError, KeyboardInterrupt):
        found.end("interrupted")
        raise
    except BaseException:
        found.end("failed")
        raise
    else:
        found.end("finished")
