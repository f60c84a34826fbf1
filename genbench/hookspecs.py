"""The hooks that a plugin may implement, one for each kind of thing it can register.

A plugin is a module (or object) named by an entry point of the group ``genbench``::

    import genbench

    @genbench.hookimpl
    def genbench_register_models(register):
        register("lsgan", "genbench_lsgan:LSGAN", summary="least-squares GAN (Mao 2017)")

Targets are strings, ``module:attribute``, imported when used and not before.
"""

from __future__ import annotations

from typing import Protocol

import pluggy

PROJECT = "genbench"
CONTRACT_VERSION = 3
"""The version of the contract between genbench and its plugins: hooks, face and protocols.

It increases when plugins can use something that an earlier genbench lacks. A plugin declares the
version that it was written for by ``genbench_contract = 1`` in the module of its hooks.
"""
CONTRACT = "genbench_contract"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Register(Protocol):
    """The callback that a hook gets.

    ``target`` names the class, ``settings`` its settings class (in a module without torch), and
    ``presets`` a tuple of `genbench.Preset`. ``family`` is the group in listings, and ``source``
    the paper or another document. ``capabilities`` are names of `genbench.CAPABILITIES` or of
    `genbench_register_capabilities`; a sampler or a metric may require one of two: ``a|b``.
    ``optional`` are the capabilities that a model has with some of its settings only. A metric with
    ``watch`` is also computed between epochs, on few samples, and must be cheap (see
    `genbench.MetricContext.quick`). ``default_sampler`` of a model draws for scores, pictures and
    the monitor unless the user names another one (default: plain). A name that is already taken
    raises PluginError with both owners.
    """

    def __call__(
        self,
        name: str,
        target: str,
        *,
        summary: str = "",
        settings: str | None = None,
        presets: str | None = None,
        family: str = "",
        source: str = "",
        capabilities: tuple[str, ...] = (),
        optional: tuple[str, ...] = (),
        watch: bool = False,
        default_sampler: str | None = None,
    ) -> None:
        """Register one name."""


class RegisterCapability(Protocol):
    """The callback of `genbench_register_capabilities`.

    ``name`` is ``name:capability``, such as ``flows:inverts``; ``target`` names a Protocol with
    ``@runtime_checkable``; ``summary`` says what its methods do. The name is then used in the
    ``capabilities`` of models, samplers and metrics, and in ``requires``, of any plugin.
    """

    def __call__(self, name: str, target: str, *, summary: str = "") -> None:
        """Register one capability."""


@hookspec
def genbench_register_models(register: Register) -> None:
    """Register models: classes that follow `genbench.Model`."""


@hookspec
def genbench_register_datasets(register: Register) -> None:
    """Register data sets: classes that follow `genbench.Dataset`; ``settings`` is required."""


@hookspec
def genbench_register_samplers(register: Register) -> None:
    """Register samplers: classes that follow `genbench.Sampler`."""


@hookspec
def genbench_register_metrics(register: Register) -> None:
    """Register metrics: classes that follow `genbench.Metric`."""


@hookspec
def genbench_register_listeners(register: Register) -> None:
    """Register listeners: classes that follow `genbench.RunListener`."""


@hookspec
def genbench_register_compressors(register: Register) -> None:
    """Register compressors: classes that follow `genbench.Compressor`."""


@hookspec
def genbench_register_launchers(register: Register) -> None:
    """Register launchers: classes that follow `genbench.Launcher`."""


@hookspec
def genbench_register_capabilities(register: RegisterCapability) -> None:
    """Register the plugin's own capabilities: Protocols that its parts require of models."""


HOOKS = tuple(name for name in dir() if name.startswith("genbench_register_"))
"""The names of the hooks."""
