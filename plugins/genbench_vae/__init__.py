"""Variational autoencoders."""

from functools import partial

import genbench


@genbench.hookimpl
def genbench_register_models(register: genbench.Register) -> None:
    """Register the family."""
    basic = ("generates", "encodes", "decodes", "reconstructs")
    vae = partial(register, family="vae", capabilities=basic)
    vae(
        "vae",
        "genbench_vae.vae:VAE",
        settings="genbench_vae.vae_settings:VAESettings",
        presets="genbench_vae.vae_settings:PRESETS",
        summary="variational autoencoder, fully connected or convolutional",
        source="Kingma & Welling 2013, arXiv:1312.6114",
        capabilities=(*basic, "has-likelihood"),
    )
    vae(
        "cvae",
        "genbench_vae.cvae:CVAE",
        settings="genbench_vae.cvae_settings:CVAESettings",
        summary="conditional VAE: labels are inputs beside x and z",
        source="Sohn et al. 2015, NeurIPS; Kingma et al. 2014, arXiv:1406.5298",
        capabilities=(*basic, "conditional", "has-likelihood", "translates"),
    )
    vae(
        "ae",
        "genbench_vae.ae:ae",
        settings="genbench_vae.ae:AESettings",
        summary="autoencoder, sampled from a mixture fitted to its codes",
        source="Hinton & Salakhutdinov 2006; Ghosh et al. 2020, arXiv:1903.12436",
    )
    vae(
        "dae",
        "genbench_vae.dae:dae",
        settings="genbench_vae.dae:DAESettings",
        summary="denoising autoencoder, sampled from a mixture fitted to its codes",
        source="Vincent et al. 2008, ICML; Bengio et al. 2013, arXiv:1305.6663",
    )
    vae(
        "cae",
        "genbench_vae.cae:cae",
        settings="genbench_vae.cae:CAESettings",
        summary="contractive autoencoder, sampled from a mixture fitted to its codes",
        source="Rifai et al. 2011, ICML",
    )
    vae(
        "vae-gmm",
        "genbench_vae.vae_gmm:VAEGMM",
        settings="genbench_vae.vae_gmm_settings:VAEGMMSettings",
        summary="VAE sampled from a mixture of Gaussians fitted to its codes",
        source="Ghosh et al. 2020, arXiv:1903.12436",
    )
    vae(
        "vae-bernoulli",
        "genbench_vae.vae_bernoulli:BernoulliVAE",
        settings="genbench_vae.vae_bernoulli_settings:BernoulliVAESettings",
        presets="genbench_vae.vae_bernoulli_settings:PRESETS",
        summary="VAE with binary latents, trained by REINFORCE, straight through or relaxed",
        source="Ying, section 2; Mnih & Gregor 2014, arXiv:1402.0030",
    )
    vae(
        "vq-vae",
        "genbench_vae.vq_vae:VQVAE",
        settings="genbench_vae.vq_vae_settings:VQVAESettings",
        presets="genbench_vae.vq_vae_settings:PRESETS",
        summary="autoencoder with a grid of codes from a learned codebook, and a prior over "
        "such grids",
        source="van den Oord et al. 2017, arXiv:1711.00937",
    )
