"""What is warned of, when, how often; and that looking moves no number of the training."""

from __future__ import annotations

import math

import pytest

import genbench
from genbench.events import Warned
from genbench.health.advice import MOST, OTHERWISE, suggestions
from genbench.health.monitor import stored_observations
from genbench.health.signs import OBSERVATIONS, STEPS, Health, Observation, discriminator_won, find
from genbench.registry import Registry
from genbench.runner import resume, run
from genbench.runner.build_parts import monitor_parts
from genbench.settings import Settings
from genbench.spec import Part, RunSpec
from genbench.store import Store

WON = {"monitor/d_accuracy": 0.998, "d/fake": 0.001}
EVEN = {"monitor/d_accuracy": 0.6, "d/fake": 0.5}
COLLAPSED = {"classes": 1.0, "spread": 0.1}
VARIED = {"classes": 10.0, "spread": 0.9}


def looks(*losses, probed=(), steps=600):
    """One look an epoch."""
    probed = probed or [{}] * len(losses)
    pairs = zip(losses, probed, strict=True)
    return [
        Observation(epoch=i, step=i * steps, losses=loss, probed=seen)
        for i, (loss, seen) in enumerate(pairs, start=1)
    ]


def judged(looks, **options) -> list[tuple[int, str]]:
    health = Health(classes=10, **options)
    return [(w.epoch, w.kind) for observation in looks for w in health.check(observation)]


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.from_environment(strict=True)


# --- patience and episodes


def test_a_sign_is_told_once_when_it_has_lasted():
    assert judged(looks(*[EVEN] * 2, *[WON] * 9)) == [(5, "discriminator_won")]


def test_a_sign_that_comes_and_goes_is_not_told():
    assert judged(looks(*[WON, WON, EVEN] * 5)) == []


def test_a_sign_that_returns_after_it_was_gone_is_told_again():
    told = judged(looks(*[WON] * OBSERVATIONS, *[EVEN] * OBSERVATIONS, *[WON] * OBSERVATIONS))
    assert told == [(3, "discriminator_won"), (9, "discriminator_won")]
    assert len(judged(looks(*[WON] * OBSERVATIONS, EVEN, *[WON] * OBSERVATIONS))) == 1


def test_epochs_of_few_steps_are_given_more_time():
    [(epoch, _)] = judged(looks(*[WON] * 200, steps=14))
    assert epoch == math.ceil(STEPS / 14)


# --- the signs


def test_d_has_won_where_it_is_always_right_and_has_no_loss_left():
    assert judged(looks(*[WON] * 5)) == [(3, "discriminator_won")]
    assert judged(looks(*[EVEN] * 5)) == []


@pytest.mark.parametrize("fake", [-3.0, 0.4, None])
def test_a_critic_may_be_always_right(fake):
    assert judged(looks(*[{"monitor/d_accuracy": 1.0, "d/fake": fake}] * 9)) == []


@pytest.mark.parametrize("probed", [{"classes": 3.0}, {"spread": 0.2}, {"modes": 2.0}])
def test_g_has_collapsed_where_it_hits_few_classes_or_hardly_varies(probed):
    assert judged(looks(*[{}] * 5, probed=[probed] * 5)) == [(3, "generator_collapsed")]


@pytest.mark.parametrize("probed", [{"classes": 4.0, "spread": 0.5}, {"spread": 0.4}, {}])
def test_g_that_hits_some_classes_has_not_collapsed(probed):
    assert judged(looks(*[{}] * 9, probed=[probed] * 9)) == []


def test_epochs_without_a_watch_neither_end_nor_lengthen_a_collapse():
    probed = [COLLAPSED, {}, {}, COLLAPSED, {}, COLLAPSED, {}]
    assert judged(looks(*[{}] * 7, probed=probed)) == [(6, "generator_collapsed")]


@pytest.mark.parametrize(
    ("late", "kind"),
    [(1e-6, "gradient_vanished"), (500.0, "gradient_exploded"), (None, "gradient_exploded")],
)
def test_gs_gradient_is_held_against_its_own_beginning(late, kind):
    at = [{**EVEN, "monitor/g_grad_norm": norm} for norm in [1.0] * 5 + [late] * 4]
    assert judged(looks(*at)) == [(8, kind)]
    shared = [{**EVEN, "monitor/g.g_grad_norm": norm} for norm in [1.0] * 5 + [late] * 4]
    assert judged(looks(*shared)) == [(8, kind)]


def test_a_model_without_a_discriminator_has_no_gradient_judged():
    at = [{"monitor/g_grad_norm": norm} for norm in [1.0] * 5 + [1e-9] * 5]
    assert judged(looks(*at)) == []


def test_a_term_is_found_whatever_its_optimizer_and_phase():
    assert find({"test/fake": 1.0, "critic/main.fake": 2.0}, "fake") == 2.0
    assert find({"monitor/d_fake": 1.0}, "fake") is None


def test_the_warning_says_what_was_seen_and_what_to_try():
    health = Health(classes=10, advice=lambda kind: ("--set r1=1", "--set d_lr=5e-05"))
    [warned] = [w for observation in looks(*[WON] * 3) for w in health.check(observation)]
    assert warned.message == (
        "the discriminator has won: its accuracy is 99.8 %, and its loss on fakes is 0.001 "
        "(for 3 epochs); try --set r1=1, --set d_lr=5e-05"
    )
    assert discriminator_won({}) is None


# --- what to try


@pytest.mark.parametrize("kind", ["discriminator_won", "generator_collapsed", "gradient_exploded"])
@pytest.mark.parametrize("model", ["gan", "dcgan", "vaegan", "vae"])
def test_only_settings_that_the_model_has_and_takes_are_named(model, kind, registry):
    cls = registry.settings("model", model)
    data = genbench.DataSpec(name="mnist", shape=(1, 28, 28), classes=10, train=60_000)
    settings = cls().fitted(data).model_dump()
    found = suggestions(kind, cls, settings, data)
    assert 1 <= len(found) <= MOST
    for suggestion in found:
        if suggestion.startswith("--set "):
            name, _, value = suggestion.removeprefix("--set ").partition("=")
            assert name in cls.model_fields
            cls.model_validate({**settings, name: value})


def test_what_is_as_it_should_be_is_no_remedy():
    data = genbench.DataSpec(name="mnist", shape=(1, 28, 28))
    assert suggestions("generator_collapsed", Settings, {}, data) == [OTHERWISE]


# --- the watch of a run


def spec(**changes) -> RunSpec:
    fields = {
        "model": "gan",
        "dataset": "digits",
        "dataset_settings": {"size": 8},
        "model_settings": {"z_dim": 4, "g_hidden": [16], "d_hidden": [16]},
        "epochs": 6,
        "batch_size": 100,
        "samples": 100,
        "metrics": (Part(name="fd_pixel"),),
    }
    return RunSpec(**{**fields, **changes})


def weights(store: Store, run_id: str) -> bytes:
    [path] = store.folder(run_id).glob("checkpoints/*/weights.safetensors")
    return path.read_bytes()


def test_a_run_is_bitwise_the_same_with_and_without_a_watch(tmp_path, access, registry):
    with Store.open(tmp_path / "runs.db", mode="create") as store:
        runs = [
            run(spec(watch=watch, epochs=10), registry=registry, store=store, access=access)
            for watch in (True, False)
        ]
        probed, plain = runs
        assert weights(store, probed.id) == weights(store, plain.id)
        assert [e.losses for e in store.epochs(probed.id)] == [
            e.losses for e in store.epochs(plain.id)
        ]
        assert probed.experiment == plain.experiment
        assert probed.digest == plain.digest
        names = {key for key in store.keys(probed.id) if key.startswith("watch/")}
        assert names == {"watch/classes", "watch/class_kl", "watch/fd_clf", "watch/spread"}
        assert not any(key.startswith("watch/") for key in store.keys(plain.id))
        # 1,400 images an epoch: each ninth epoch, and the last.
        steps = [step for step, _ in store.series(probed.id, "watch/classes")]
        assert steps == [9 * 14, 10 * 14]


class StopError(Exception):
    """Stands for a crash."""


def test_a_resumed_run_is_warned_and_watched_as_an_unbroken_one(
    tmp_path, access, registry, monkeypatch
):
    monkeypatch.setattr("genbench.health.signs.STEPS", 1)
    monkeypatch.setattr("genbench.health.monitor.IMAGES", 1)
    monkeypatch.setattr("genbench.health.signs.SPREAD", 1.0)  # always collapsed
    monkeypatch.setattr("genbench.engine.recovery.SHARE", 1e9)  # a checkpoint each epoch

    def left(store: Store, run_id: str):
        warned = [(w.epoch, w.kind, w.message) for w in store.warnings(run_id)]
        return warned, stored_observations(store, run_id), store.summaries(run_id)

    with Store.open(tmp_path / "runs.db", mode="create") as store:
        whole = run(spec(), registry=registry, store=store, access=access)
        expected = left(store, whole.id)
        assert [w[:2] for w in expected[0]] == [(3, "generator_collapsed")]
        for crash_at in (Warned, checkpoint_of(2), checkpoint_of(4)):
            made: list[str] = []

            def fail(event, crash_at=crash_at):
                if isinstance(crash_at, type) and isinstance(event, crash_at):
                    raise StopError
                if not isinstance(crash_at, type) and crash_at(event):
                    raise StopError

            with pytest.raises(genbench.GenbenchError):
                run(
                    spec(),
                    registry=registry,
                    store=store,
                    access=access,
                    listeners=[fail],
                    started=lambda new, made=made: made.append(new.id),
                )
            resume(made[0], registry=registry, store=store, access=access)
            assert left(store, made[0]) == expected


def checkpoint_of(epoch: int):
    """Whether an event tells of the checkpoint of an epoch."""
    return lambda event: type(event).__name__ == "Checkpointed" and event.epoch == epoch


def test_a_model_that_does_not_generate_is_not_watched(registry):
    assert monitor_parts(spec(), object(), registry) == ([], [])
