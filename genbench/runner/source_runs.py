"""Finished runs as sources of latent spaces: found without torch, loaded when they are needed.

Law: a source run never changes. Its weights are read and frozen, and nothing is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from genbench.contracts import Conditional, DataAccess, Decodes, Encodes, SourceRun, SourceRunHead
from genbench.errors import DataError, IncompatibleError, NoSuchRunError, UsageError
from genbench.planning.sources import Scope
from genbench.registry import Kind, Registry
from genbench.runner.versions import Name, check_versions
from genbench.settings import DatasetSettings, ModelSettings, validate_stored
from genbench.spec import RunSpec
from genbench.store import Store
from genbench.store.records import Run, Status

if TYPE_CHECKING:
    from torch import nn

NEEDED = ("encodes", "decodes")
"""The capabilities of the model of a source run."""


def with_runs(access: DataAccess, registry: Registry, store: Store | str) -> DataAccess:
    """The access with the finished runs of a store: an open one, or one at an address."""

    def opening() -> AbstractContextManager[Store]:
        return nullcontext(store) if isinstance(store, Store) else Store.open(store, mode="read")

    return replace(access, runs=StoredRuns(opening, registry, access))


class StoredRuns:
    """The finished runs of a store, for data sets of latents (`genbench.FinishedRuns`)."""

    def __init__(
        self,
        opening: Callable[[], AbstractContextManager[Store]],
        registry: Registry,
        access: DataAccess,
    ) -> None:
        self._opening, self._registry = opening, registry
        # A source may itself be trained on the latents of another run.
        self._access = replace(access, runs=self)

    def head(self, reference: str) -> SourceRunHead:
        """Find a run by id, prefix, name or @1, and describe its data without reading it.

        Raises NoSuchRunError, UsageError if it isn't finished, IncompatibleError if it has no
        latent space.
        """
        with self._opening() as store:
            run = store.run(reference)
            _check_finished(run)
            parts: tuple[Name, ...] = (("model", run.model), ("dataset", run.dataset))
            check_versions(store, run.id, self._registry, parts)
        spec = RunSpec.from_json(run.spec)
        self._check_capabilities(run)
        dataset = self._settings(spec, "dataset", spec.dataset, spec.dataset_settings)
        data = cast(DatasetSettings, dataset).describe(self._access).scored_on(spec.scored_on)
        settings = self._settings(spec, "model", spec.model, spec.model_settings)
        shape = settings.latent_shape(data) if isinstance(settings, ModelSettings) else None
        if shape is None:
            raise _no_latent_space(run, "it doesn't encode and decode with its settings")
        return SourceRunHead(
            run=run.id,
            model=run.model,
            experiment=run.experiment,
            data=data,
            latent_shape=shape,
            classes=settings.latent_classes(data),
        )

    def load(self, run: str) -> SourceRun:
        """Load the model of a run by its id, with its last weights, frozen, on the CPU.

        Raises DataError if the run was removed, CheckpointError if its weights are damaged.
        """
        from genbench.runner.loading import load as load_run

        try:
            head = self.head(run)
        except NoSuchRunError:
            raise DataError(
                f"the source run {run} of these latents is no longer in the store, so there is no "
                "decoder for them; train such a run again, and then a new run on its latents"
            ) from None
        with self._opening() as store:
            made = store.run(run)
            loaded = load_run(run, self._registry, store, self._access, "cpu")
        model = loaded.model
        if not (isinstance(model, Encodes) and isinstance(model, Decodes)):
            raise _no_latent_space(made, "it doesn't encode and decode")
        if isinstance(model, Conditional) and head.classes != model.classes:
            raise _unsaid_labels(made)
        model.nets.eval().requires_grad_(False)
        return SourceRun(
            head=head, model=model, data=loaded.data, digest=weights_digest(model.nets)
        )

    def _check_capabilities(self, run: Run) -> None:
        """Check the declared capabilities; a model without any is checked when it is built."""
        model = self._registry.get("model", run.model)
        missing = [name for name in NEEDED if name not in (*model.capabilities, *model.optional)]
        if model.capabilities and missing:
            raise _no_latent_space(run, f"it has no '{missing[0]}'")

    def _settings(self, spec: RunSpec, kind: Kind, name: str, values: Mapping[str, Any]) -> Any:
        scope = Scope(registry=self._registry, model=spec.model, dataset=spec.dataset)
        return validate_stored(scope.settings(kind, name), values, owner=f"{kind} '{name}'")


def weights_digest(nets: nn.Module) -> str:
    """32 hex digits of a SHA-256 over names, shapes and values of all parameters and buffers."""
    content = hashlib.sha256()
    for name, value in sorted(nets.state_dict().items()):
        content.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        content.update(value.contiguous().numpy())
    return content.hexdigest()[:32]


def _check_finished(run: Run) -> None:
    if run.status is not Status.FINISHED:
        going = run.status is Status.RUNNING
        raise UsageError(
            f"run {run.id} ({run.model}) is {run.status}, and only the latent space of a finished "
            f"run can be used{'; wait until it ends' if going else ''}, or name another run",
            hint="See: genbench runs" if going else f"To finish it: genbench resume {run.id}",
        )


def _no_latent_space(run: Run, reason: str) -> IncompatibleError:
    return IncompatibleError(
        f"run {run.id} ({run.model}) has no latent space to use: {reason}; name a run of a model "
        "that encodes and decodes",
        hint="See: genbench models",
    )


def _unsaid_labels(run: Run) -> IncompatibleError:
    return IncompatibleError(
        f"run {run.id} ({run.model}) decodes a code together with a label, but its settings don't "
        "declare that (latent_classes), so its codes can't have labels; name another run"
    )
