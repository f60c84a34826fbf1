"""Content-aware compression (Liu et al. 2021, "Content-aware GAN compression", CVPR).

arXiv:2104.02244. What counts is inside a mask of interest:

1. A channel is important if it changes the content. Noise N is added inside the mask m of the
   teacher's samples, and the importance of a channel is the L1 norm of the gradient of
   |G(z) - (G(z) + m N)|_1 with respect to its weights (section 3.2). The least important channels
   are removed, so that the student inherits the teacher's weights.
2. The student learns inside the mask only (section 3.3):
   L = L_own + weight * d(m G_S(z), m G_T(z)).

The paper finds the content by a network that parses faces, and adds LPIPS inside the mask; our
masks are predefined, as the document "More on GANs" has it: the foreground, or the centre.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from genbench import Batch, Compression, IncompatibleError, Model, ParentRun
from genbench_compress.channels import channels_of, check_whole, kept_of, narrow
from genbench_compress.criteria import lowest
from genbench_compress.distil import Lesson, check_features
from genbench_compress.distil_settings import ContentAwareSettings
from genbench_compress.nets import (
    device_of,
    evaluated,
    forget_gradients,
    generating,
    leave_gradients,
)
from genbench_compress.student import drawn, with_terms
from genbench_compress.teacher import Teacher

CHUNK = 64


class ContentAware:
    """The channels that matter least for the content are removed; the rest learns it again."""

    requires = ("generates",)

    def __init__(self, settings: ContentAwareSettings) -> None:
        self.settings = settings

    def check(self, model: Model, parent: ParentRun) -> None:
        """Samples are images, and the distance can be computed."""
        check_features(model, self.settings)
        # In train mode, batch normalisation takes no minibatch of one.
        with evaluated(model.nets):
            dimensions = _samples(model, 1).dim()
        if dimensions != 4:
            raise IncompatibleError(
                f"a mask of interest needs images, and '{parent.data.name}' has points; use "
                "--method distil"
            )

    def compress(self, model: Model, parent: ParentRun) -> Compression:
        """Remove channels, then the model's own training with the distance inside the mask."""
        s, teacher = self.settings, Teacher(parent)
        lesson = MaskedLesson(model, teacher, s, parent.data.shape)
        stages = with_terms(model, generating(model), lesson, model.stages())

        def begin(batches: Iterator[Batch]) -> None:
            remove(model, s)

        return Compression(stages=(replace(stages[0], begin=begin), *stages[1:]))


class MaskedLesson(Lesson):
    """The distance of samples; outside the teacher's mask, their pixels are the teacher's."""

    def between(self, own: Tensor, theirs: Tensor, y: Tensor | None) -> Tensor:
        """The distance, as the mean over a pixel inside the mask."""
        s = self._settings
        assert isinstance(s, ContentAwareSettings)
        inside = mask_of(theirs, s)
        masked = torch.where(inside, own, theirs)
        whole = super().between(masked, theirs, y)
        return whole if s.distance == "feature" else whole / inside.float().mean().clamp_min(1e-3)


def mask_of(images: Tensor, s: ContentAwareSettings) -> Tensor:
    """Where the content of images (B, C, H, W) is: bool, broadcastable to them."""
    _, _, height, width = images.shape
    if s.mask == "centre":
        inside = torch.zeros(1, 1, height, width, dtype=torch.bool, device=images.device)
        inside[:, :, height // 4 : height - height // 4, width // 4 : width - width // 4] = True
        return inside
    border = torch.cat(
        (images[:, :, 0], images[:, :, -1], images[:, :, :, 0], images[:, :, :, -1]), dim=2
    )
    background = border.median(2).values[:, :, None, None]
    differs = ((images - background).abs() > s.threshold).any(1, keepdim=True).float()
    return F.max_pool2d(differs, 2 * s.grow + 1, 1, s.grow) > 0


def remove(model: Model, s: ContentAwareSettings) -> None:
    """Remove the channels with the least effect on the content from the generating nets."""
    layers = channels_of(model, generating(model))
    content_gradients(model, s)
    kept = {
        one.name: ~lowest(one.gradients().abs().sum(1), one.count - kept_of(one.count, s.ratio))
        for one in layers
    }
    narrow(layers, kept)
    check_whole(model)
    forget_gradients(model.nets)


def content_gradients(model: Model, s: ContentAwareSettings) -> None:
    """Leave the gradient of |m N| through G(z) on the weights; 0 where there is none."""

    def changes() -> None:
        for start in range(0, s.samples, CHUNK):
            n = min(CHUNK, s.samples - start)
            images = _samples(model, n)
            noise = torch.randn_like(images) * mask_of(images.detach(), s)
            torch.autograd.backward((images - (images.detach() + noise)).abs().sum())

    with evaluated(model.nets):
        leave_gradients(model.nets, changes)


def _samples(model: Any, n: int) -> Tensor:
    return drawn(model, model.prior(n), _classes(model, n))


def _classes(model: Model, n: int) -> Tensor | None:
    classes = getattr(model, "classes", None)
    return None if classes is None else torch.arange(n, device=device_of(model)) % classes
