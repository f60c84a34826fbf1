"""Simultaneous distillation of G and D (Chen et al. 2020, "Distilling portable GANs", AAAI).

arXiv:2003.03519. The student's discriminator learns beside its generator:

    G_S: L_own + weight * |G_S(z) - G_T(z)|_1 (eq. 3)
               + perceptual * |D_T^(G_S(z)) - D_T^(G_T(z))|^2 (eq. 4);
    D_S: L_own + the teacher's samples as real ones (eq. 7) + triplet * (eq. 9)
         [|D_S^(y) - D_S^(G_T(z))|_1 - |D_S^(y) - D_S^(G_S(z))|_1 + margin]_+,

with D^ the features before the last layer of D. The triplet says that a sample of the teacher is
nearer to a real image than one of the student. The paper translates images, which come in pairs
(x_i, y_i); noise has no pair, so y_i is any image of the minibatch, and for a conditional model one
of the same class. If the score of D is no logit, eq. 7 raises the score of the teacher's samples.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from genbench import Batch, Compression, Embeds, Model, ParentRun
from genbench_compress.distil import Lesson, started
from genbench_compress.distil_settings import SimultaneousSettings
from genbench_compress.nets import generating, judging
from genbench_compress.student import (
    check_student,
    distance,
    drawn,
    hidden_features,
    noise_of,
    with_terms,
)
from genbench_compress.teacher import Teacher


class Simultaneous:
    """A student generator and its discriminator learn from a teacher at the same time."""

    requires = ("generates", "discriminates")

    def __init__(self, settings: SimultaneousSettings) -> None:
        self.settings = settings

    def check(self, model: Model, parent: ParentRun) -> None:
        """The student takes the teacher's noise."""
        check_student(model, parent.trained())

    def compress(self, model: Model, parent: ParentRun) -> Compression:
        """Both players' own phases, each with the terms that it learns from the teacher."""
        s, teacher = self.settings, Teacher(parent)
        makers, judges = generating(model), judging(model)
        lesson = Lesson(model, teacher, s, parent.data.shape)

        def for_generator(batch: Batch) -> Mapping[str, Tensor]:
            """Eqs. 3 and 4, each on noise of its own."""
            terms = lesson(batch)
            if not s.perceptual:
                return terms
            z, y = noise_of(model, batch)
            frozen = teacher.on(z.device)
            with torch.no_grad():
                target = hidden_features(frozen, drawn(frozen, z, y), y, judges)
            own = hidden_features(frozen, drawn(model, z, y), y, judges)
            return {**terms, "perceptual": s.perceptual * distance("feature", own, target)}

        def for_discriminator(batch: Batch) -> Mapping[str, Tensor]:
            """Eqs. 7 and 9."""
            z, y = noise_of(model, batch)
            with torch.no_grad():
                theirs, own = drawn(teacher.on(z.device), z, y), drawn(model, z, y)
            parts = (hidden_features(model, x, y, judges) for x in (batch.x.float(), theirs, own))
            loss = triplet_loss(*parts, margin=s.margin)
            return {
                "teacher": teacher_is_real(model, theirs, y),
                "triplet": s.triplet * loss,
            }

        stages = with_terms(model, judges, for_discriminator, model.stages())
        stages = with_terms(model, makers, for_generator, stages)
        return Compression(stages=started(stages, model, teacher, judges, s))


def triplet_loss(real: Tensor, teacher: Tensor, student: Tensor, *, margin: float) -> Tensor:
    """The mean of [|real - teacher|_1 - |real - student|_1 + margin]_+ over features (B, n)."""
    near = (real - teacher).abs().sum(1)
    far = (real - student).abs().sum(1)
    return torch.relu(near - far + margin).mean()


def teacher_is_real(model: Model, samples: Tensor, y: Tensor | None) -> Tensor:
    """The loss of D on the teacher's samples as real ones: softplus(-score)."""
    judge: Model = model
    h = judge.embed(samples) if isinstance(judge, Embeds) else samples
    scores: Tensor = judge.discriminate(h, y)  # type: ignore[attr-defined]
    return torch.nn.functional.softplus(-scores.float()).mean()
