"""Listeners of plugins: what they hear, and that they can't harm a training."""

from __future__ import annotations

import random
import types
from dataclasses import replace

import numpy as np
import pytest
import torch
from recorded import start

import genbench
from genbench.errors import PluginError, SettingError, UsageError
from genbench.events import EpochDone, Event, RunFailed, StartedRun, StepsDone
from genbench.planning.listening import keep_listeners, listeners_for
from genbench.planning.resolve import Request, resolve
from genbench.registry import Registry
from genbench.runner import run
from genbench.spec import Part, RunSpec

HEARD: list[object] = []


class EarSettings(genbench.Settings):
    """``breaks`` is where it raises."""

    breaks: str = ""


class Ear:
    """Keeps what it hears, draws random numbers, and raises where it is told to."""

    def __init__(self, settings: EarSettings) -> None:
        self.breaks = settings.breaks
        self._go("init")

    def begin(self, run: StartedRun) -> None:
        HEARD.append(run)
        self._go("begin")

    def hear(self, event: Event) -> None:
        HEARD.append(event)
        random.random(), np.random.rand(), torch.rand(3)
        self._go("hear")

    def end(self, status: str) -> None:
        HEARD.append(status)
        self._go("end")

    def _go(self, where: str) -> None:
        if self.breaks == "exit":
            raise SystemExit(3)
        if self.breaks == where:
            raise ZeroDivisionError("a fault of the listener")


@pytest.fixture
def registry():
    HEARD.clear()
    registry = Registry.from_environment(environ={})
    plugin = types.ModuleType("ears")

    @genbench.hookimpl
    def genbench_register_listeners(register):
        here = f"{__name__}"
        register("ear", f"{here}:Ear", settings=f"{here}:EarSettings", summary="hears")

    plugin.genbench_register_listeners = genbench_register_listeners  # type: ignore[attr-defined]
    registry.add(plugin, strict=True)
    return registry


SPEC = RunSpec(
    model="vae",
    dataset="digits",
    model_settings={"hidden": [8], "z_dim": 2},
    dataset_settings={"size": 8},
    epochs=2,
    batch_size=500,
    samplers=(),
    watch=False,
)


def weights(store, run_id):
    [path] = store.folder(run_id).glob("checkpoints/*/weights.safetensors")
    return path.read_bytes()


def test_a_listener_hears_the_run_from_its_begin_to_its_end_and_changes_no_number(
    registry, store, access
):
    alone = run(SPEC, registry=registry, store=store, access=access)
    heard = run(
        SPEC, registry=registry, store=store, access=access, name="b", listen=[Part(name="ear")]
    )
    assert weights(store, alone.id) == weights(store, heard.id)
    begun, *events, status = HEARD
    assert (begun.id, begun.name, begun.params["model.z_dim"]) == (heard.id, "b", 2)
    assert status == "finished"
    assert [e.epoch for e in events if isinstance(e, EpochDone)] == [1, 2]
    assert any(isinstance(e, StepsDone) for e in events)


@pytest.mark.parametrize("breaks", ["begin", "hear", "end"])
def test_a_listener_that_raises_is_a_warning_and_is_not_called_again(
    registry, store, access, breaks
):
    listen = [Part(name="ear", settings={"breaks": breaks}), Part(name="ear")]
    told: list[Event] = []
    done = run(
        SPEC, registry=registry, store=store, access=access, listen=listen, listeners=[told.append]
    )
    assert done.status == "finished"
    assert HEARD[-1] == "finished"
    messages = [warning.message for warning in store.warnings(done.id)]
    messages += [event.message for event in told if hasattr(event, "message")]
    assert any("left out for the rest of this run: ZeroDivisionError" in m for m in messages)
    [trace] = store.folder(done.id).glob("tracebacks/*.txt")
    assert "a fault of the listener" in trace.read_text()
    assert sum(h == "finished" for h in HEARD) == (2 if breaks == "end" else 1)


def test_a_listener_that_cannot_be_built_stops_the_run_before_it_is_stored(registry, store, access):
    for breaks in ("init", "exit"):
        listen = [Part(name="ear", settings={"breaks": breaks})]
        with pytest.raises(PluginError, match="listener 'ear'"):
            run(SPEC, registry=registry, store=store, access=access, listen=listen)
    assert store.runs() == []


def test_a_listener_hears_that_a_run_failed(registry, store, access):
    spec = replace(SPEC, model_settings={**SPEC.model_settings, "lr": 1e30})
    with pytest.raises(genbench.GenbenchError, match="diverged"):
        run(spec, registry=registry, store=store, access=access, listen=[Part(name="ear")])
    assert HEARD[-1] == "failed"
    assert isinstance(HEARD[-2], RunFailed)


def plan(registry, access, tmp_path, environ=None, **request):
    asked = Request(model="vae", dataset="digits", **request)
    return resolve(asked, registry, access, environ or {}, tmp_path)


def test_listeners_come_from_flags_files_and_environment_and_are_not_in_the_spec(
    registry, access, tmp_path
):
    bare = plan(registry, access, tmp_path)
    ways = [
        {"run": {"listeners": ["ear[breaks=end]"]}},
        {"run": {"listeners": ["ear"]}, "sets": ["listener.ear.breaks=end"]},
        {"environ": {"GENBENCH_LISTENERS": "ear[breaks=end]"}},
    ]
    for way in ways:
        resolved = plan(registry, access, tmp_path, **way)
        assert resolved.listeners == (Part(name="ear", settings={"breaks": "end"}),)
        assert resolved.spec == bare.spec
    (tmp_path / "genbench.toml").write_text('listeners = ["ear"]\n[listener.ear]\nbreaks = "end"\n')
    assert plan(registry, access, tmp_path).listeners == resolved.listeners
    assert bare.listeners == ()
    assert plan(registry, access, tmp_path, run={"listeners": ["none"]}).listeners == ()


def test_a_setting_of_a_listener_that_is_not_used_is_refused(registry, access, tmp_path):
    with pytest.raises(UsageError, match="add --listen ear"):
        plan(registry, access, tmp_path, sets=["listener.ear.breaks=end"])
    with pytest.raises(SettingError, match="--listen"):
        plan(registry, access, tmp_path, run={"listeners": ["ear[brakes=end]"]})


def test_a_resumed_run_is_sent_to_the_listeners_that_it_had(registry, store, access, tmp_path):
    environ = {"GENBENCH_LISTENERS": "ear[breaks=end]"}
    ear, breaking = Part(name="ear", settings={"breaks": ""}), Part(name="ear")
    done = run(SPEC, registry=registry, store=store, access=access, listen=[ear])
    folder, empty = store.folder(done.id), tmp_path / "empty"
    assert listeners_for((), folder, SPEC, registry, environ) == (ear,)
    [breaking] = listeners_for(["ear[breaks=end]"], folder, SPEC, registry, environ)
    assert breaking.settings == {"breaks": "end"}
    assert listeners_for(["none"], folder, SPEC, registry, environ) == ()
    # A run without any takes those of the environment.
    assert listeners_for((), empty, SPEC, registry, environ) == (breaking,)
    assert listeners_for((), empty, SPEC, registry, {}) == ()
    keep_listeners(folder, ())
    assert listeners_for((), folder, SPEC, registry, environ) == ()


def test_a_listener_of_a_run_that_is_gone_or_unreadable_is_one_sentence(registry, tmp_path):
    keep_listeners(tmp_path, [Part(name="gone")])
    with pytest.raises(UsageError, match="listener 'gone', which isn't installed") as caught:
        listeners_for((), tmp_path, SPEC, registry, {})
    assert "--listen none" in str(caught.value)
    for damage in ("{", "[1]", '[{"name": "ear"}]'):
        (tmp_path / "listeners.json").write_text(damage)
        with pytest.raises(UsageError, match=r"listeners\.json is damaged"):
            listeners_for((), tmp_path, SPEC, registry, {})
    assert listeners_for(["ear"], tmp_path, SPEC, registry, {})[0].name == "ear"


@pytest.mark.parametrize("command", ["resume", "rerun"])
def test_the_command_line_takes_the_listeners_of_the_run(command_line, store, tmp_path, command):
    run_id = start(store)
    keep_listeners(store.folder(run_id), [Part(name="gone")])
    said = command_line(command, run_id, folder=tmp_path)
    assert said.code == 2
    assert "listener 'gone', which isn't installed" in said.err
