"""The built-in samplers: how samples are drawn from a trained model."""

from __future__ import annotations

import genbench


@genbench.hookimpl
def genbench_register_samplers(register: genbench.Register) -> None:
    """Register the built-in samplers."""
    register(
        "plain",
        "genbench_samplers.plain:Plain",
        settings="genbench_samplers.settings:PlainSettings",
        summary="draw from the prior and generate",
        family="ancestral",
        capabilities=("generates",),
    )
    register(
        "truncation",
        "genbench_samplers.truncation:Truncation",
        settings="genbench_samplers.settings:TruncationSettings",
        summary="plain sampling from a prior truncated at a threshold",
        family="ancestral",
        source="Brock et al. 2019, arXiv:1809.11096",
        capabilities=("generates",),
    )
    register(
        "drs",
        "genbench_samplers.drs:DRS",
        settings="genbench_samplers.settings:DRSSettings",
        summary="accept or reject generated samples by the discriminator",
        family="discriminator",
        source="Azadi et al. 2019, arXiv:1810.06758",
        capabilities=("generates", "discriminates"),
    )
    register(
        "mh",
        "genbench_samplers.mh:MH",
        settings="genbench_samplers.settings:MHSettings",
        summary="Metropolis-Hastings chains of generated samples",
        family="discriminator",
        source="Turner et al. 2019, arXiv:1811.11357",
        capabilities=("generates", "discriminates"),
    )
    register(
        "ddls",
        "genbench_samplers.ddls:DDLS",
        settings="genbench_samplers.settings:DDLSSettings",
        summary="Langevin chains in the latent space, driven by the discriminator",
        family="discriminator",
        source="Che et al. 2020, arXiv:2003.06060",
        capabilities=("generates", "discriminates"),
    )
