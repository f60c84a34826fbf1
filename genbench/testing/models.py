"""The laws of a model, checked with the real engine on small data."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genbench.contracts import MONITOR, Data, Stage, rendered
from genbench.errors import UsageError
from genbench.registry import Registry
from genbench.settings import Settings
from genbench.testing.devices import check_device
from genbench.testing.learning import check_judge, check_reconstructions
from genbench.testing.outputs import (
    SAMPLES,
    check_prior,
    check_range,
    check_rows,
    maps,
    nets_of_samples,
)
from genbench.testing.paths import check_path
from genbench.testing.structure import check_seeds, check_structure
from genbench.testing.subject import Subject, subject
from genbench.testing.trial import (
    build,
    differs,
    first,
    fitting_data,
    has_shape,
    images,
    inputs,
    is_sample,
    repeated,
    stage_batch,
    state_of,
    stepped,
    train_model,
)
from genbench.testing.watch import Watch

EPOCHS = 6


def check_model(
    model: str | type,
    settings: Settings | type[Settings] | None = None,
    *,
    data: Data | None = None,
    capabilities: tuple[str, ...] | None = None,
    registry: Registry | None = None,
) -> None:
    """Check a model by its registered name, or its class and settings.

    Without ``data``, the smallest of a few shapes that the settings accept is made.
    ``capabilities`` replaces those of a registration if a class is given.
    Raises AssertionError with the law that is broken and how to fix it.
    """
    part = subject("model", model, settings, registry)
    if capabilities is not None:
        part = replace(part, capabilities=capabilities)
    data = data or fitting_data(part.settings)
    check_structure(part, data)
    check_seeds(part, data)
    check_capabilities(part, data)
    check_losses(part, data)
    check_training(part, data)
    check_resume(part, data)
    check_state(part, data)
    check_range(part, data)
    check_rows(part, data)
    check_prior(part, data)
    check_reconstructions(part, data)
    check_judge(part, data)
    check_device(part, data)


def check_capabilities(part: Subject, data: Data) -> None:
    """What is declared is there and what is there is declared; shapes and ranges hold."""
    model = build(part, data)
    there = set(part.known.of(model))
    if part.capabilities is not None:
        missing = set(part.capabilities) - there
        extra = there - set(part.capabilities) - set(part.optional)
        assert not missing, f"{part.name} declares {missing} but lacks their methods"
        assert not extra, f"{part.name} has {extra}; declare them in register(capabilities=...)"
    x, labels = inputs(model, data, 6)
    with torch.no_grad():
        if "generates" in there:
            z = model.prior(6, torch.Generator().manual_seed(1))
            again = model.prior(6, torch.Generator().manual_seed(1))
            assert torch.equal(z, again), "prior(n, generator) must draw only from the generator"
            h = model.generate(z, labels)
            is_sample(rendered(model, h), data, "render(generate(z))")
            if "discriminates" in there:
                has_shape(model.discriminate(h, labels), (6,), "discriminate(h)")
                real = model.embed(x) if "embeds" in there else x
                has_shape(real, tuple(h.shape), "the h of real samples (embed(x), else x itself)")
        if {"has-velocity", "denoises"} & there:
            check_path(model, labels)
        if "encodes" in there:
            mean, logvar = model.encode(x, labels)
            assert mean.ndim >= 2, f"encode(x) must give (B, *code), not {tuple(mean.shape)}"
            has_shape(logvar, tuple(mean.shape), "the log-variance of encode(x)")
            if "decodes" in there:
                is_sample(model.decode(mean, labels), data, "decode(the mean of encode(x))")
                _check_latent_shape(part, data, tuple(mean.shape[1:]))
        if "reconstructs" in there:
            is_sample(model.reconstruct(x, labels), data, "reconstruct(x)")
        if "has-likelihood" in there and "generates" in there:
            z = model.prior(6, torch.Generator().manual_seed(1))
            with suppress(UsageError):  # settings may leave a loss that is no likelihood
                given = (x, z) if labels is None else (x, z, labels)
                has_shape(model.log_likelihood(*given), (6,), "log_likelihood(x, z)")
        if "translates" in there and (own := images(data, 6)[1]) is not None:
            _check_translations(model, data, x, own)


def _check_translations(model: Any, data: Data, x: Tensor, own: Tensor) -> None:
    """Translations are samples, and each depends on the class that is asked for."""
    other = (own + 1) % (data.spec.classes or 1)
    same, changed = (model.translate(x, y, own) for y in (own, other))
    for made in (same, changed):
        is_sample(made, data, "translate(x, y, own)")
    apart = (same - changed).abs().flatten(1).amax(1)
    assert data.spec.classes == 1 or bool((apart > 0).all()), (
        "translate(x, y, own) gives the same for two classes y; the class must reach the output "
        "(a constant plane does not pass a normalisation over places with reflection padding)"
    )


def _check_latent_shape(part: Subject, data: Data, code: tuple[int, ...]) -> None:
    declared = getattr(part.settings, "latent_shape", lambda _: None)(data.spec)
    assert declared == code, (
        f"codes of encode(x) have the shape {code}, but the settings' latent_shape is {declared}"
    )


def check_losses(part: Subject, data: Data) -> None:
    """A loss only computes: named finite terms for the phase's optimizers, nothing else moves."""
    model = build(part, data)
    watch = Watch(model, nets_of_samples(model, data))
    model.nets.train()
    for stage in map(watch.stage, model.stages()):
        batch = stage_batch(stage, data)
        for phase in stage.phases:
            where = f"loss of phase '{phase.name}' (stage '{stage.name}')"
            terms = phase.loss(batch)
            assert set(terms) - {MONITOR} == set(phase.updates), (
                f"the {where} gives terms for {sorted(set(terms) - {MONITOR})}, but its updates "
                f"are {sorted(phase.updates)}; they must be the same"
            )
            for name, term in ((n, t) for group in terms.values() for n, t in group.items()):
                assert term.ndim == 0, f"term '{name}' of the {where} must be 0-dim, a mean"
                assert torch.isfinite(term), f"term '{name}' of the {where} is {float(term)}"


def check_training(part: Subject, data: Data) -> None:
    """On 8 images, losses change (a single one falls), and so do owned weights, but no others."""
    few = repeated(first(data, 8), 4)
    model = build(part, few)
    before, watch = state_of(model), Watch(model, nets_of_samples(model, few))
    losses = train_model(model, few, epochs=EPOCHS, watch=watch)
    watch.finish()
    owned = {
        f"{net}.{name}"
        for optimizer in stepped(model)
        for net in model.optimizers()[optimizer].nets
        for name, parameter in model.nets[net].named_parameters()
        if parameter.requires_grad
    }
    for name, _ in model.nets.named_parameters():
        moved = differs(model, before, name)
        assert moved or name not in owned, (
            f"no step changed '{name}': no loss reaches it; use it in a loss of the optimizer that "
            "owns it, or take it out of the optimizer's nets"
        )
        assert not moved or name in owned, (
            f"'{name}' changed although no phase updates its optimizer: a gradient of another "
            "optimizer's loss reached it"
        )
    for stage in model.stages():
        _check_curve(stage, [epoch.losses for epoch in losses if epoch.stage == stage.name])


def check_resume(part: Subject, data: Data) -> None:
    """A run stopped at half and resumed ends with the same bits as an uninterrupted one."""
    few = first(data, 16)
    whole, stopped, resumed = (build(part, few) for _ in range(3))
    train_model(whole, few, epochs=4)
    with tempfile.TemporaryDirectory() as folder:
        train_model(stopped, few, epochs=4, folder=Path(folder), stop_after=2)
        train_model(resumed, few, epochs=4, folder=Path(folder), resume=True)
    different = [n for n in whole.nets.state_dict() if differs(resumed, state_of(whole), n)]
    assert not different, (
        f"after a resume, {', '.join(different[:3])} differ from an uninterrupted run; keep the "
        "whole state of the model in parameters and buffers of nets, and use only torch's random "
        "numbers"
    )


def check_state(part: Subject, data: Data) -> None:
    """``nets`` holds the whole state: a new model that loads it computes the same."""
    few = first(data, 16)
    trained = build(part, few)
    train_model(trained, few, epochs=2)
    fresh = build(part, few, seed=1)
    fresh.nets.load_state_dict(trained.nets.state_dict(), strict=True)
    pairs = zip(maps(trained, few), maps(fresh, few), strict=True)
    with torch.no_grad():
        for (name, function, given), (_, again, _) in pairs:
            same = name not in SAMPLES or torch.equal(function(*given), again(*given))
            assert same, (
                f"{name} differs after the state of nets was loaded into a new model: a part of "
                "the model's state is not a parameter or buffer of nets"
            )


def _check_curve(stage: Stage, losses: list[Mapping[str, float]]) -> None:
    """The loss of a single optimizer falls; with several, each loss at least changes."""
    players = {name for phase in stage.phases for name in phase.updates}
    for name in players if len(losses) > 1 else ():
        key = _total_of(stage, name)
        curve = [epoch[key] for epoch in losses if key in epoch]
        assert len(set(curve)) > 1, f"the loss of '{name}' never changes in stage '{stage.name}'"
        third = max(1, len(curve) // 3)
        if len(players) == 1:
            assert min(curve[-third:]) < curve[0], (
                f"the loss of '{name}' doesn't fall on 8 images in stage '{stage.name}': "
                f"{curve[0]:.4g} at first, {curve[-1]:.4g} at last; check sign and learning rate"
            )


def _total_of(stage: Stage, optimizer: str) -> str:
    """The key of the sum of its terms, in its first phase if several update it."""
    phases = [phase.name for phase in stage.phases if optimizer in phase.updates]
    return f"{optimizer}/loss" if len(phases) == 1 else f"{optimizer}/{phases[0]}.loss"
