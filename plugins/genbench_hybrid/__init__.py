"""Hybrids of VAE and GAN."""

import genbench


@genbench.hookimpl
def genbench_register_models(register: genbench.Register) -> None:
    """Register the family."""
    register(
        "vaegan",
        "genbench_hybrid.vaegan:VAEGAN",
        settings="genbench_hybrid.vaegan_settings:VAEGANSettings",
        presets="genbench_hybrid.vaegan_settings:PRESETS",
        summary="a GAN in the latent space of a trained VAE",
        family="hybrid",
        source="Lin et al. 2023, Generate Faster: Accelerate Generative Models Using VAE",
        capabilities=("generates", "discriminates", "embeds", "encodes", "reconstructs"),
    )
