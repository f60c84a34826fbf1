"""Capabilities of plugins: a Protocol by name, asked for by samplers and metrics of any plugin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import pytest

import genbench
from genbench.doctor.parts import problems
from genbench.errors import IncompatibleError, PluginError
from genbench.evaluation import check_fit
from genbench.registry import Registry
from genbench.spec import Part


@runtime_checkable
class Inverts(Protocol):
    def invert(self, x: Any) -> Any:
        """x -> z."""


class NotRuntime(Protocol):
    def invert(self, x: Any) -> Any:
        """x -> z."""


class Flow:
    def invert(self, x: Any) -> Any:
        return x


class Cycle:
    """A metric that asks for it."""

    uses = "model"
    requires = ("flows:inverts",)

    def begin(self, context: genbench.MetricContext) -> None: ...

    def update(self, images: Any) -> None: ...

    def result(self) -> Sequence[genbench.Score]:
        return ()


def flows(target: str = f"{__name__}:Inverts", name: str = "flows:inverts") -> Any:
    class Flows:
        @genbench.hookimpl
        def genbench_register_capabilities(self, register: genbench.RegisterCapability) -> None:
            register(name, target, summary="x -> z")

        @genbench.hookimpl
        def genbench_register_metrics(self, register: genbench.Register) -> None:
            register("cycle", f"{__name__}:Cycle", capabilities=("flows:inverts",))

    return Flows()


def test_a_plugins_own_capability_is_asked_for_by_name() -> None:
    registry = Registry()
    info = registry.add(flows(), strict=True)
    assert info.names == ("metric cycle", "capability flows:inverts")
    metrics = [(Part(name="cycle"), Cycle())]
    check_fit(Flow(), [], metrics, registry.capabilities)
    with pytest.raises(IncompatibleError) as refused:
        check_fit(object(), [], metrics, registry.capabilities, name="vae")
    assert str(refused.value) == (
        "metric 'cycle' needs a model with the capability 'flows:inverts' (x -> z); 'vae' does not"
    )
    assert not problems(registry)


def test_a_name_that_nobody_registered_is_said() -> None:
    with pytest.raises(
        PluginError, match="unknown capability 'flows:inverts'; a plugin defines it"
    ):
        check_fit(Flow(), [], [(Part(name="cycle"), Cycle())])
    registry = Registry()
    registry.add(flows(name="flows:invert"), strict=True)
    [problem] = problems(registry)
    assert "unknown capability 'flows:inverts'" in problem.text


@pytest.mark.parametrize(
    ("plugin", "said"),
    [
        (flows(name="inverts"), "needs a name with a colon"),
        (flows(target="nowhere"), "the target must be a string 'module:attribute'"),
    ],
)
def test_a_name_or_target_of_another_form_is_refused_and_rolled_back(plugin, said) -> None:
    registry = Registry()
    info = registry.add(plugin)
    assert said in info.error
    assert list(registry.of("metric")) == []
    assert "flows:inverts" not in registry.capabilities


def test_a_taken_name_names_its_first_owner() -> None:
    registry = Registry()
    registry.add(flows(), strict=True)

    class Second:
        @genbench.hookimpl
        def genbench_register_capabilities(self, register: genbench.RegisterCapability) -> None:
            register("flows:inverts", f"{__name__}:Inverts")

    info = registry.add(Second())
    assert info.error == "capability 'flows:inverts' is already registered by Flows"
    assert registry.capabilities.protocol("flows:inverts") is Inverts


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (f"{__name__}:NotRuntime", "decorate NotRuntime with @typing.runtime_checkable"),
        (f"{__name__}:Nothing", "can't be loaded from"),
        (f"{__name__}:flows", "is not a class"),
    ],
)
def test_a_protocol_that_cannot_be_asked_is_said_with_its_owner(target: str, said: str) -> None:
    registry = Registry()
    registry.add(flows(target=target), strict=True)
    with pytest.raises(PluginError, match="capability 'flows:inverts' of Flows") as refused:
        check_fit(Flow(), [], [(Part(name="cycle"), Cycle())], registry.capabilities)
    assert said in str(refused.value)


def test_one_of_two_capabilities_may_be_asked_for() -> None:
    class Either(Cycle):
        requires = ("reconstructs|flows:inverts",)

    registry = Registry()
    registry.add(flows(), strict=True)
    either = [(Part(name="either"), Either())]
    check_fit(Flow(), [], either, registry.capabilities)
    with pytest.raises(IncompatibleError, match="that reconstructs or with the capability 'flows:"):
        check_fit(object(), [], either, registry.capabilities)
