"""The engine trains what a model declares, without knowing any model, store or terminal.

``train`` emits events for the listeners that record or display them.
"""

from genbench.engine.checkpoint import (
    RunIdentity,
    drop_checkpoints,
    drop_training_state,
    has_checkpoint,
)
from genbench.engine.device import autocast, resolve_device
from genbench.engine.loop import train
from genbench.engine.modes import evaluation
from genbench.engine.planned_stages import planned_epochs
from genbench.engine.randomness import derive_seed, seed_everything
from genbench.engine.restoring import checkpoint_position, load_weights

__all__ = [
    "RunIdentity",
    "autocast",
    "checkpoint_position",
    "derive_seed",
    "drop_checkpoints",
    "drop_training_state",
    "evaluation",
    "has_checkpoint",
    "load_weights",
    "planned_epochs",
    "resolve_device",
    "seed_everything",
    "train",
]
