"""Diffusion and flow matching: models that are sampled by integrating over time."""

from __future__ import annotations

from functools import partial

import genbench


@genbench.hookimpl
def genbench_register_models(register: genbench.Register) -> None:
    """Register the models."""
    flow = partial(
        register,
        family="flow",
        capabilities=("generates", "has-velocity", "denoises"),
        optional=("conditional",),
    )
    flow(
        "flow-matching",
        "genbench_flow.flow_matching:FlowMatching",
        settings="genbench_flow.flow_settings:FlowMatchingSettings",
        presets="genbench_flow.flow_settings:FLOW_MATCHING_PRESETS",
        summary="a velocity from noise to data along straight lines, with rectified flow's reflow",
        source="Lipman et al. 2023, arXiv:2210.02747; Liu et al. 2023, arXiv:2209.03003",
        default_sampler="ode",
    )
    flow(
        "ddpm",
        "genbench_flow.ddpm:DDPM",
        settings="genbench_flow.flow_settings:DDPMSettings",
        presets="genbench_flow.flow_settings:DDPM_PRESETS",
        summary="denoising diffusion: predicts the noise at 1000 levels",
        source="Ho et al. 2020, arXiv:2006.11239",
        default_sampler="sde",
    )
    flow(
        "edm",
        "genbench_flow.edm:EDM",
        settings="genbench_flow.flow_settings:EDMSettings",
        presets="genbench_flow.flow_settings:EDM_PRESETS",
        summary="a preconditioned denoiser for all noise levels; samples take a few Heun steps",
        source="Karras et al. 2022, arXiv:2206.00364",
        default_sampler="ode",
    )


@genbench.hookimpl
def genbench_register_samplers(register: genbench.Register) -> None:
    """Register the samplers over time."""
    register(
        "ode",
        "genbench_flow.ode:ODE",
        settings="genbench_flow.sampler_settings:ODESettings",
        summary="integrate the velocity from noise to samples, by Euler, midpoint or Heun",
        family="time",
        capabilities=("has-velocity", "generates"),
        source="Karras et al. 2022, arXiv:2206.00364, algorithm 1; Lipman et al. 2023",
    )
    register(
        "sde",
        "genbench_flow.sde:SDE",
        settings="genbench_flow.sampler_settings:SDESettings",
        summary="remove noise and add less of it, step by step: DDPM's ancestral sampling, or DDIM",
        family="time",
        capabilities=("denoises", "generates"),
        source="Ho et al. 2020, arXiv:2006.11239, algorithm 2; Song et al. 2021, arXiv:2010.02502",
    )
