"""Variational autoencoders."""

import genbench


@genbench.hookimpl
def genbench_register_models(register: genbench.Register) -> None:
    """Register the family."""
    register(
        "vae",
        "genbench_vae.vae:VAE",
        settings="genbench_vae.vae_settings:VAESettings",
        presets="genbench_vae.vae_settings:PRESETS",
        summary="variational autoencoder, fully connected or convolutional",
        family="vae",
        source="Kingma & Welling 2013, arXiv:1312.6114",
        capabilities=("generates", "encodes", "decodes", "reconstructs", "has-likelihood"),
    )
