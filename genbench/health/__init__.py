"""The health of a training: signs of collapse and divergence, and advice on what to change."""
