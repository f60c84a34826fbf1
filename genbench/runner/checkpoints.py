"""The checkpoint of a stored run: which run it belongs to, and whether it is there."""

from __future__ import annotations

from genbench.engine import RunIdentity, checkpoint_position, has_checkpoint
from genbench.errors import CheckpointError, hints_for
from genbench.store import Store
from genbench.store.records import Run, Status


def identity(run: Run) -> RunIdentity:
    """The identity in the checkpoints of a stored run."""
    return RunIdentity(run=run.id, digest=run.digest)


def check_checkpoint(run: Run, store: Store) -> bool:
    """Whether the folder of a run has its checkpoint; False if none was ever written.

    Raises CheckpointError if a checkpoint was written but is missing, has no readable manifest, or
    belongs to another run.
    """
    store.restore_folder(run.id)
    folder = store.fetch(run.id)
    if has_checkpoint(folder):
        with hints_for(run.id):
            checkpoint_position(folder, identity(run))
        return True
    if run.checkpoint_step is None:
        return False
    finished = run.status is Status.FINISHED
    again = f"rerun {run.id}" if finished else f"resume {run.id} --from-scratch"
    raise CheckpointError(
        f"the checkpoint of run {run.id} (step {run.checkpoint_step}, epoch "
        f"{run.checkpoint_epoch}) is not in {folder / 'checkpoints'}; put that folder back",
        hint=f"To train from the first step: genbench {again}",
    )
