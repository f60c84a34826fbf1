"""Spectral normalisation (Miyato et al. 2018, arXiv:1802.05957): each layer is 1-Lipschitz.

The weight that a layer uses is W / sigma(W), where sigma, the largest singular value, follows by
one power iteration for each forward pass in training mode (algorithm 1). Its vectors are buffers,
so a checkpoint holds them. A convolution's W is its kernel as a matrix (out, in * k * k), as in
the paper.
"""

from __future__ import annotations

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


def spectrally_normalised(network: nn.Module) -> nn.Module:
    """The network itself, with every linear and convolutional layer normalised."""
    for layer in list(network.modules()):
        if isinstance(layer, LAYERS):
            spectral_norm(layer)
    return network
