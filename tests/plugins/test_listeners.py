"""The built-in listeners against the real packages: what a person then finds in those tools."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from recorded import epoch_done

import genbench
from genbench import (
    ArtifactMade,
    Evaluated,
    Resumed,
    Score,
    StartedRun,
    StepsDone,
    Warned,
)
from genbench.registry import Registry
from genbench.spec import RunSpec
from genbench.testing import check_listener

SPEC = RunSpec(model="vae", dataset="digits", epochs=2, batch_size=10)
PARAMS = {"model.lr": 1e-3, "model.widths": [8, 4], "sampler.drs#2.gamma": None, "seed": 0}


def started(folder: Path, *, resumed: bool = False) -> StartedRun:
    return StartedRun(
        id="0123456789",
        name="first",
        tags=("paper",),
        spec=SPEC,
        params=PARAMS,
        folder=folder,
        store="runs.db",
        resumed=resumed,
    )


def epoch(number: int, folder: Path) -> list[genbench.Event]:
    """One epoch of 10 steps, a picture, a score and a warning."""
    step, picture = 10 * number, folder / f"epoch-{number}.png"
    Image.new("L", (8, 8), 40 * number).save(picture)
    return [
        StepsDone(stage="train", epoch=number, step=step, series={"vae/loss": [(step, 1 / step)]}),
        epoch_done(
            number,
            step=step,
            images=100,
            train_s=2.0,
            losses={"vae/loss": 1.0, "test/loss": -90.0 - number},
        ),
        Evaluated(
            epoch=number,
            stage="train",
            sampler="plain",
            sampler_settings={},
            scores=[Score(metric="fd_clf", value=20.0 / number, n=10, protocol={})],
            seconds={},
        ),
        ArtifactMade(kind="samples", path=picture, epoch=number),
        Warned(epoch=number, kind="collapsed", message="the generator has collapsed"),
    ]


def tell(name: str, home: Path, epochs: list[int], **settings: str) -> object:
    """A listener of that name, told of a run of these epochs."""
    registry = Registry.from_environment()
    options = registry.settings("listener", name)(**settings)
    listener = registry.target("listener", name)(options)
    resumed = epochs[0] > 1
    listener.begin(started(home, resumed=resumed))
    if resumed:
        listener.hear(Resumed(step=10 * (epochs[0] - 1), epoch=epochs[0] - 1))
    for number in epochs:
        for event in epoch(number, home):
            listener.hear(event)
    listener.end("finished")
    return listener


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb"])
def test_a_built_in_listener_keeps_the_contract(name, tmp_path, monkeypatch):
    pytest.importorskip(name, reason=f"pip install 'genbench[{name}]'")
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    check_listener(name)


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_shows_losses_scores_pictures_and_settings(tmp_path):
    pytest.importorskip("tensorboard", reason="pip install 'genbench[tensorboard]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tell("tensorboard", tmp_path, [1, 2], folder=str(tmp_path / "logs"))
    # After a kill the run goes on at the checkpoint of epoch 1: epoch 2 is there once.
    tell("tensorboard", tmp_path, [2], folder=str(tmp_path / "logs"))
    found = EventAccumulator(str(tmp_path / "logs" / "0123456789"))
    found.Reload()
    scalars = {
        tag: {(e.step, round(e.value, 3)) for e in found.Scalars(tag)}
        for tag in ("vae/loss", "test/loss", "score/fd_clf/plain", "epoch/images_per_s")
    }
    assert scalars == {
        "vae/loss": {(10, 0.1), (20, 0.05)},
        "test/loss": {(10, -91.0), (20, -92.0)},
        "score/fd_clf/plain": {(10, 20.0), (20, 10.0)},
        "epoch/images_per_s": {(10, 50.0), (20, 50.0)},
    }
    assert [image.step for image in found.Images("samples")][-1] == 20
    assert b"model.lr" in found.Tensors("settings/text_summary")[0].tensor_proto.string_val[0]


@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_the_run_with_its_parameters_metrics_and_files(tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason="pip install 'genbench[mlflow]'")
    from mlflow.tracking import MlflowClient

    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path / 'ml.db'}"
    tell("mlflow", tmp_path, [1], uri=uri)
    tell("mlflow", tmp_path, [2], uri=uri)
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("genbench")
    [run] = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("first", "FINISHED")
    assert run.data.params["model.lr"] == "0.001"
    assert run.data.params["sampler.drs_2.gamma"] == "None"
    history = client.get_metric_history(run.info.run_id, "score/fd_clf/plain")
    assert [(m.step, m.value) for m in history] == [(10, 20.0), (20, 10.0)]
    files = client.list_artifacts(run.info.run_id, "samples")
    assert [Path(f.path).name for f in files] == ["epoch-1.png", "epoch-2.png"]


@pytest.mark.filterwarnings("ignore")
def test_wandb_writes_the_run_offline(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="pip install 'genbench[wandb]'")
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    tell("wandb", tmp_path, [1, 2], folder=str(tmp_path))
    wandb.teardown()  # its service has written everything when it ends
    [file] = (tmp_path / "wandb").glob("offline-run-*/run-0123456789.wandb")
    written = file.read_bytes()
    for words in (b"vae/loss", b"score/fd_clf/plain", b"model.lr", b"pictures/samples"):
        assert words in written
    assert len(list(file.parent.glob("files/media/images/pictures/*.png"))) == 2


@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb"])
def test_a_listener_without_its_package_says_what_to_install(name, monkeypatch):
    monkeypatch.setattr("genbench_listeners.values.find_spec", lambda package: None)
    registry = Registry.from_environment()
    settings = registry.settings("listener", name)()
    with pytest.raises(genbench.UsageError, match=rf"pip install 'genbench\[{name}\]'"):
        registry.target("listener", name)(settings)
