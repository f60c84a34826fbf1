"""The engine trains what a model declares, without knowing any model, store or terminal.

``train`` emits events for the listeners that record or display them; ``train_together`` trains
several seeds of one experiment at once.
"""

from genbench.engine.bench import (
    StageBench as StageBench,
    Way as Way,
    bench_stages as bench_stages,
    matrix_rate as matrix_rate,
)
from genbench.engine.checkpoint import (
    RunIdentity as RunIdentity,
    drop_checkpoints as drop_checkpoints,
    drop_training_state as drop_training_state,
    has_checkpoint as has_checkpoint,
)
from genbench.engine.device import (
    autocast as autocast,
    resolve_device as resolve_device,
    resolve_devices as resolve_devices,
)
from genbench.engine.follower import follow as follow
from genbench.engine.group import GroupedRun as GroupedRun, train_together as train_together
from genbench.engine.loop import train as train
from genbench.engine.modes import evaluation as evaluation
from genbench.engine.planned_stages import planned_epochs as planned_epochs
from genbench.engine.randomness import (
    derive_seed as derive_seed,
    seed_everything as seed_everything,
)
from genbench.engine.restoring import (
    checkpoint_position as checkpoint_position,
    load_weights as load_weights,
)
from genbench.engine.shard_trial import check_shards as check_shards
from genbench.engine.shards import Shards as Shards, joined as joined
from genbench.engine.slow_options import resolve_precision as resolve_precision
from genbench.engine.stack_trial import try_together as try_together
from genbench.engine.threads import (
    fastest_threads as fastest_threads,
    threads_are_chosen as threads_are_chosen,
    using_threads as using_threads,
)
from genbench.engine.waiting_threads import share_cores as share_cores
