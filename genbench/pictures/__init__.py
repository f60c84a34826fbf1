"""Pictures of samples and latent spaces, as PNG files."""
