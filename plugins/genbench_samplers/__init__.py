"""The built-in samplers: how samples are drawn from a trained model."""

from __future__ import annotations

from functools import partial

import genbench


@genbench.hookimpl
def genbench_register_samplers(register: genbench.Register) -> None:
    """Register the built-in samplers."""
    ancestral = partial(register, family="ancestral", capabilities=("generates",))
    needed = ("generates", "discriminates")
    judged = partial(register, family="discriminator", capabilities=needed)
    ancestral(
        "plain",
        "genbench_samplers.plain:Plain",
        settings="genbench_samplers.sampler_settings:PlainSettings",
        summary="draw from the prior and generate",
    )
    ancestral(
        "truncation",
        "genbench_samplers.truncation:Truncation",
        settings="genbench_samplers.sampler_settings:TruncationSettings",
        summary="plain sampling from a prior truncated at a threshold",
        source="Brock et al. 2019, arXiv:1809.11096",
    )
    judged(
        "drs",
        "genbench_samplers.drs:DRS",
        settings="genbench_samplers.sampler_settings:DRSSettings",
        summary="accept or reject generated samples with the discriminator",
        source="Azadi et al. 2019, arXiv:1810.06758",
    )
    judged(
        "mh",
        "genbench_samplers.mh:MH",
        settings="genbench_samplers.sampler_settings:MHSettings",
        summary="Metropolis-Hastings chains of generated samples",
        source="Turner et al. 2019, arXiv:1811.11357",
    )
    judged(
        "ddls",
        "genbench_samplers.ddls:DDLS",
        settings="genbench_samplers.sampler_settings:DDLSSettings",
        summary="Langevin chains in the latent space, driven by the discriminator",
        source="Che et al. 2020, arXiv:2003.06060",
    )
