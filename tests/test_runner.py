"""One room knows all the others: what a run leaves behind, however it ends."""

from __future__ import annotations

import errno
import itertools
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import genbench
from genbench.contracts import Batch, Optimizer, Phase, Stage
from genbench.errors import (
    DiskFullError,
    DivergedError,
    GenbenchError,
    IncompatibleError,
    InterruptedRunError,
    OutOfMemoryError,
    UsageError,
)
from genbench.events import Checkpointed, EpochDone, Evaluated, Event, Resumed, StepsDone
from genbench.planning.amend import amend, differences
from genbench.registry import Registry
from genbench.runner import data_access, evaluate_run, load_run, resume, run, sample_run
from genbench.spec import Part, RunSpec
from genbench.store import Store
from genbench.store.records import Run, Status


class TinySettings(genbench.ModelSettings):
    """``breaks`` names what goes wrong at the tenth step."""

    z_dim: int = 4
    breaks: str = ""


class Tiny:
    """A linear autoencoder that also generates, with noise of its own in training."""

    averaged = ("decoder",)

    def __init__(self, settings: TinySettings, data: genbench.DataSpec) -> None:
        pixels = int(np.prod(data.shape))
        self.settings, self.shape, self.steps = settings, data.shape, 0
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(pixels, settings.z_dim))
        decoder = nn.Sequential(nn.Linear(settings.z_dim, pixels), nn.Tanh())
        self.nets = nn.ModuleDict({"encoder": encoder, "decoder": decoder})

    def optimizers(self) -> dict[str, Optimizer]:
        return {"ae": Optimizer(nets=("encoder", "decoder"), lr=1e-3)}

    def stages(self) -> tuple[Stage, ...]:
        return (Stage(name="train", phases=(Phase(name="ae", loss=self.loss, updates=("ae",)),)),)

    def loss(self, batch: Batch) -> dict[str, dict[str, torch.Tensor]]:
        self.steps += 1
        if self.steps == 10:
            self.go_wrong()
        z = self.nets["encoder"](batch.x)
        x = self.generate(z + 0.1 * torch.randn_like(z))
        mse = (x - batch.x).square().mean()
        broken = self.settings.breaks == "nan" and self.steps >= 10
        return {"ae": {"mse": mse * float("nan") if broken else mse}}

    def go_wrong(self) -> None:
        match self.settings.breaks:
            case "bug":
                raise ZeroDivisionError("a fault of the model")
            case "memory":
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            case "disk":
                raise OSError(errno.ENOSPC, "No space left on device", "runs/x")

    def prior(self, n: int, generator: torch.Generator | None = None) -> torch.Tensor:
        return torch.randn(n, self.settings.z_dim, generator=generator)

    def generate(self, z: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
        return self.nets["decoder"](z).unflatten(1, self.shape)

    def render(self, h: torch.Tensor) -> torch.Tensor:
        return h

    def reconstruct(self, x: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
        return self.generate(self.nets["encoder"](x))


@pytest.fixture(scope="module")
def registry() -> Registry:
    registry = Registry.from_environment(strict=True)
    plugin = types.ModuleType("tiny_plugin")

    @genbench.hookimpl
    def genbench_register_models(register: genbench.Register) -> None:
        register("tiny", f"{__name__}:Tiny", settings=f"{__name__}:TinySettings")

    plugin.genbench_register_models = genbench_register_models  # type: ignore[attr-defined]
    registry.add(plugin, strict=True)
    return registry


SPEC = RunSpec(
    model="tiny",
    dataset="digits",
    dataset_settings={"size": 8},
    epochs=3,
    batch_size=200,
    samples=64,
    metrics=(Part(name="fd_pixel"),),
    watch=False,  # its classifier would cost more than all the rest
)


def after_start(made: list[Run], questions: int) -> Callable[[], bool]:
    """Asks to stop at a question (a step, or a minibatch of samples) after the run is stored."""
    left = itertools.count(questions, -1)
    return lambda: bool(made) and next(left) <= 0


def weights(store: Store, run_id: str) -> bytes:
    [path] = store.folder(run_id).glob("checkpoints/*/weights.safetensors")
    return path.read_bytes()


def losses(store: Store, run_id: str) -> list[object]:
    return [(e.epoch, e.step, dict(e.losses)) for e in store.epochs(run_id)]


def values(store: Store, run_id: str) -> list[object]:
    return [(s.metric, s.sampler, s.epoch, s.value) for s in store.scores(run_id)]


def test_a_run_leaves_weights_epochs_scores_and_pictures(registry, store, access) -> None:
    done = run(SPEC, registry=registry, store=store, access=access, name="first", tags=["a"])
    assert done.status is Status.FINISHED
    assert (done.name, done.tags, done.epochs_done) == ("first", ("a",), 3)
    assert [e.epoch for e in store.epochs(done.id)] == [1, 2, 3]
    [score] = store.scores(done.id)
    assert (score.metric, score.sampler, score.epoch, score.n) == ("fd_pixel", "plain", 3, 64)
    assert score.floor is not None
    kept = {(a.kind, a.path, a.epoch) for a in store.artifacts(done.id)}
    assert ("samples", "samples.png", 3) in kept
    assert ("samples", "samples/epoch-0001.png", 1) in kept
    assert ("reconstructions", "reconstructions.png", 3) in kept
    assert all((store.folder(done.id) / path).is_file() for _, path, _ in kept)
    assert len(weights(store, done.id)) > 0


def test_every_point_of_a_series_is_counted_once(registry, store, access) -> None:
    spec = replace(SPEC, model="vae", batch_size=600, epochs=2)
    done = run(spec, registry=registry, store=store, access=access)
    summaries = store.summaries(done.id)
    assert any(summary.key.startswith("test/") for summary in summaries)
    for summary in summaries:
        points = store.series(done.id, summary.key)
        assert (summary.key, summary.n) == (summary.key, len(points))


def test_the_spec_of_a_stored_run_names_the_kind_of_its_device(registry, store, access) -> None:
    spec = replace(SPEC, device="auto", epochs=1, metrics=())
    done = run(spec, registry=registry, store=store, access=access)
    assert RunSpec.from_json(done.spec).device in ("cpu", "cuda", "mps")


def test_two_runs_of_one_spec_end_equal(registry, store, access) -> None:
    first, second = (run(SPEC, registry=registry, store=store, access=access).id for _ in range(2))
    assert weights(store, first) == weights(store, second)
    assert values(store, first) == values(store, second)


def test_pictures_and_scores_between_epochs_do_not_move_the_training(
    registry, store, access
) -> None:
    plain = run(SPEC, registry=registry, store=store, access=access)
    watched = run(
        replace(SPEC, evaluate_every=1, sample_every=1),
        registry=registry,
        store=store,
        access=access,
    )
    assert weights(store, plain.id) == weights(store, watched.id)
    assert sorted(s.epoch for s in store.scores(watched.id)) == [1, 2, 3]


def test_listeners_hear_of_an_epoch_only_when_the_store_has_it(registry, store, access) -> None:
    made: list[Run] = []
    seen: list[int] = []

    def listen(event: Event) -> None:
        if isinstance(event, EpochDone):
            seen.append(event.epoch)
            assert store.epochs(made[0].id)[-1].epoch == event.epoch

    run(
        SPEC, registry=registry, store=store, access=access, started=made.append, listeners=[listen]
    )
    assert seen == [1, 2, 3]


@pytest.mark.parametrize("after", [0, 5, 7, 13, 20])
def test_a_stopped_and_resumed_run_ends_bitwise_where_an_unbroken_one_ends(
    registry, store, access, after
) -> None:
    spec = replace(SPEC, ema=0.9, evaluate_every=2)
    unbroken = run(spec, registry=registry, store=store, access=access)
    made: list[Run] = []
    with pytest.raises(InterruptedRunError, match="genbench resume"):
        run(
            spec,
            registry=registry,
            store=store,
            access=access,
            started=made.append,
            should_stop=after_start(made, after),
        )
    assert store.run(made[0].id).status is Status.INTERRUPTED
    done = resume(made[0].id, registry=registry, store=store, access=access)
    assert done.status is Status.FINISHED
    assert weights(store, done.id) == weights(store, unbroken.id)
    assert losses(store, done.id) == losses(store, unbroken.id)
    assert values(store, done.id) == values(store, unbroken.id)


def test_a_run_stopped_in_its_final_evaluation_only_evaluates_when_resumed(
    registry, store, access
) -> None:
    made: list[Run] = []
    trained: list[int] = []

    def listen(event: Event) -> None:
        if isinstance(event, Checkpointed):
            trained.append(event.epoch)

    with pytest.raises(InterruptedRunError):
        run(
            SPEC,
            registry=registry,
            store=store,
            access=access,
            started=made.append,
            listeners=[listen],
            should_stop=lambda: trained[-1:] == [3],
        )
    assert store.scores(made[0].id) == []
    events: list[Event] = []
    resume(made[0].id, registry=registry, store=store, access=access, listeners=[events.append])
    assert isinstance(events[0], Resumed)
    assert not any(isinstance(event, (EpochDone, StepsDone)) for event in events)
    assert sum(isinstance(event, Evaluated) for event in events) == 1


def test_a_keyboard_interrupt_leaves_the_run_interrupted_and_resumable(
    registry, store, access
) -> None:
    made: list[Run] = []

    def abort(event: Event) -> None:
        if isinstance(event, EpochDone) and event.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError):
        run(
            SPEC,
            registry=registry,
            store=store,
            access=access,
            started=made.append,
            listeners=[abort],
        )
    assert store.run(made[0].id).status is Status.INTERRUPTED
    assert resume(made[0].id, registry=registry, store=store, access=access).epochs_done == 3


@pytest.mark.parametrize(
    ("breaks", "error", "words"),
    [
        ("bug", GenbenchError, "ZeroDivisionError: a fault of the model"),
        ("memory", OutOfMemoryError, "--accumulate 2"),
        ("disk", DiskFullError, "free some space"),
        ("nan", DivergedError, "mse"),
    ],
)
def test_a_failed_run_keeps_its_error_its_epochs_and_its_code(
    registry, store, access, breaks, error, words
) -> None:
    made: list[Run] = []
    spec = replace(SPEC, model_settings={"breaks": breaks})
    with pytest.raises(error, match=words) as raised:
        run(spec, registry=registry, store=store, access=access, started=made.append)
    assert type(raised.value) is error
    failed = store.run(made[0].id)
    assert failed.status is Status.FAILED
    assert failed.error == str(raised.value)
    assert [e.epoch for e in store.epochs(failed.id)] == [1]
    assert "Traceback" in (store.folder(failed.id) / "error.txt").read_text()


def test_a_failed_run_resumed_after_the_fix_ends_where_an_unbroken_one_ends(
    registry, store, access, monkeypatch
) -> None:
    made: list[Run] = []
    spec = replace(SPEC, model_settings={"breaks": "disk"})
    with pytest.raises(DiskFullError):
        run(spec, registry=registry, store=store, access=access, started=made.append)
    monkeypatch.setattr(Tiny, "go_wrong", lambda self: None)
    done = resume(made[0].id, registry=registry, store=store, access=access)
    assert (done.status, done.error) == (Status.FINISHED, None)
    unbroken = run(spec, registry=registry, store=store, access=access)
    assert weights(store, done.id) == weights(store, unbroken.id)
    assert losses(store, done.id) == losses(store, unbroken.id)


def test_what_does_not_fit_leaves_nothing_in_the_store(registry, store, access) -> None:
    spec = replace(SPEC, metrics=(Part(name="reconstruction"),), model="gan")
    with pytest.raises(IncompatibleError, match="reconstruct"):
        run(spec, registry=registry, store=store, access=access)
    assert store.runs() == []


def test_a_finished_run_is_not_resumed(registry, store, access) -> None:
    done = run(replace(SPEC, epochs=1), registry=registry, store=store, access=access)
    with pytest.raises(UsageError, match="genbench rerun"):
        resume(done.id, registry=registry, store=store, access=access)


def test_a_run_that_is_alive_is_not_resumed(registry, store, access) -> None:
    made: list[Run] = []
    refused: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, EpochDone) and not refused:
            with pytest.raises(UsageError) as raised:
                resume(made[0].id, registry=registry, store=store, access=access)
            refused.append(str(raised.value))

    run(
        SPEC, registry=registry, store=store, access=access, started=made.append, listeners=[listen]
    )
    assert "still running" in refused[0]


def test_new_scores_are_added_and_none_is_overwritten(registry, store, access) -> None:
    done = run(SPEC, registry=registry, store=store, access=access)
    before = values(store, done.id)
    again = evaluate_run(done.id, registry=registry, store=store, access=access, device="cpu")
    assert [score.value for record in again for score in record.scores] == [before[0][3]]
    other = evaluate_run(
        done.id, registry=registry, store=store, access=access, n=100, seed=5, device="cpu"
    )
    assert other[0].scores[0].n == 100
    assert values(store, done.id)[0] == before[0]
    assert len(store.scores(done.id)) == 3


def test_a_loaded_run_has_its_weights_and_is_in_eval_mode(registry, store, access) -> None:
    done = run(replace(SPEC, epochs=1), registry=registry, store=store, access=access)
    loaded = load_run(done.id, registry=registry, store=store, access=access, device="cpu")
    assert not any(module.training for module in loaded.model.nets.modules())
    fresh = Tiny(TinySettings(), loaded.data.spec)
    key = "decoder.0.weight"
    assert not torch.equal(loaded.model.nets.state_dict()[key], fresh.nets.state_dict()[key])


def test_samples_are_written_as_a_grid_an_array_or_a_folder(
    registry, store, access, tmp_path
) -> None:
    done = run(replace(SPEC, epochs=1), registry=registry, store=store, access=access)

    def draw(out: Path, n: int) -> Path:
        return sample_run(
            done.id, registry=registry, store=store, access=access, out=out, n=n, device="cpu"
        )

    with Image.open(draw(tmp_path / "grid.png", 16)) as grid:
        assert grid.width > grid.height > 56
    with np.load(draw(tmp_path / "deep" / "samples.npz", 12)) as arrays:
        images = arrays["images"]
    assert images.shape == (12, 8, 8, 1)
    assert images.dtype == np.uint8
    folder = draw(tmp_path / "folder", 12)
    assert sorted(p.name for p in folder.iterdir()) == [f"{i:02d}.png" for i in range(12)]
    with Image.open(folder / "03.png") as picture:
        assert np.array_equal(np.asarray(picture), images[3, ..., 0])


def test_a_label_for_an_unconditional_model_is_refused(registry, store, access, tmp_path) -> None:
    done = run(replace(SPEC, epochs=1), registry=registry, store=store, access=access)
    with pytest.raises(IncompatibleError, match="not conditional"):
        sample_run(
            done.id,
            registry=registry,
            store=store,
            access=access,
            out=tmp_path / "a.png",
            label=3,
            device="cpu",
        )


def test_an_amended_spec_says_how_it_differs_and_is_validated(registry, access) -> None:
    amended = amend(SPEC, registry, access, sets=["z_dim=7", "data.size=16"], seed=3, epochs=None)
    assert amended.model_settings["z_dim"] == 7
    assert amended.dataset_settings["size"] == 16
    changed = differences(SPEC, amended)
    assert "seed 0 -> 3" in changed
    assert "dataset_settings.size 8 -> 16" in changed
    with pytest.raises(UsageError, match="z_dim"):
        amend(SPEC, registry, access, sets=["z_dim=many"])
    with pytest.raises(UsageError, match="it must be finite"):
        amend(SPEC, registry, access, sets=["run.clip_norm=inf"])
    with pytest.raises(UsageError, match="must divide"):
        amend(SPEC, registry, access, accumulate=7)
    with pytest.raises(UsageError, match="doesn't use sampler"):
        amend(replace(SPEC, samplers=()), registry, access, sets=["sampler.plain.x=1"])


def test_an_amended_size_of_epochs_lengthens_the_stages_that_were_left_open(
    registry, access
) -> None:
    spec = replace(SPEC, model="vaegan", model_settings={"vae_epochs": None})
    assert amend(spec, registry, access, seed=1).model_settings["vae_epochs"] is None
    smaller = amend(spec, registry, access, sets=["run.epoch_images=20000"])
    assert smaller.model_settings["vae_epochs"] == 900_000 // 20_000


def test_the_data_folder_is_the_flag_then_the_environment_then_here(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"GENBENCH_DATA": "/somewhere", "GENBENCH_OFFLINE": "1"}
    assert data_access("/flag", environ).root == Path("/flag")
    assert data_access(None, environ).root == Path("/somewhere")
    assert data_access(None, environ).offline
    assert data_access().root == tmp_path / "data"
    assert not data_access(None, {"GENBENCH_OFFLINE": "0"}).offline


@pytest.fixture
def two_threads(monkeypatch):
    """Two threads that no variable asks for; a trial finds that one is faster."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    trials: list[int] = []

    def trial(*_: object) -> int:
        trials.append(torch.get_num_threads())
        return 1

    monkeypatch.setattr("genbench.runner.thread_count.fastest_threads", trial)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield trials
    torch.set_num_threads(before)


def threads_of(store: Store, run: Run) -> int | None:
    stored = RunSpec.from_json(store.run(run.id).spec).threads
    assert store.environment(run.id)["threads"] == stored
    return stored


def test_one_trial_of_threads_decides_for_all_runs_of_an_experiment(
    registry, store, access, two_threads
) -> None:
    rest = {"registry": registry, "store": store, "access": access}
    given = run(replace(SPEC, threads=2), **rest)
    runs = [run(replace(SPEC, seed=seed), **rest) for seed in (0, 1)]
    assert [threads_of(store, one) for one in (given, *runs)] == [2, 1, 1]
    assert two_threads == [2], "the second seed has no trial, and a number that is given counts not"
    assert given.digest == runs[0].digest, "threads are no part of an experiment"
    assert torch.get_num_threads() == 2


def test_a_resumed_run_takes_the_stored_number_of_threads(
    registry, store, access, two_threads
) -> None:
    rest = {"registry": registry, "store": store, "access": access}
    made: list[Run] = []
    with pytest.raises(InterruptedRunError):
        run(SPEC, started=made.append, should_stop=after_start(made, 5), **rest)
    torch.set_num_threads(3)
    seen: list[int] = []
    resume(made[0].id, listeners=[lambda _: seen.append(torch.get_num_threads())], **rest)
    assert set(seen) == {1}
    assert threads_of(store, made[0]) == 1
    assert len(store.environments(made[0].id)) == 1, "it is the same place"
