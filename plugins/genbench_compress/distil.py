"""Direct distillation (Aguinaldo et al. 2019, "Compressing GANs using knowledge distillation").

arXiv:1902.00159. A student generator of another width makes the teacher's sample of the same noise:

    L = L_own + weight * d(G_S(z), G_T(z)),

with d the mean squared error, or MSE alone (``own_loss=false``). The paper trains a W-DCGAN, and
scales the student by a depth; here L_own is the loss of the model itself, with its discriminator as
the teacher's training has left it, and the networks that make samples are scaled in width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from genbench import (
    Batch,
    Compression,
    Discriminates,
    IncompatibleError,
    Model,
    ParentRun,
    Stage,
)
from genbench_compress.distil_settings import DistilSettings, TeachingSettings
from genbench_compress.nets import device_of, generating, judging
from genbench_compress.student import (
    alone,
    check_student,
    copy_nets,
    default_weight,
    distance,
    drawn,
    hidden_features,
    noise_of,
    with_terms,
)
from genbench_compress.teacher import Teacher


class Distil:
    """A student learns the samples of its teacher, and what its own loss asks of it."""

    requires = ("generates",)

    def __init__(self, settings: DistilSettings) -> None:
        self.settings = settings

    def check(self, model: Model, parent: ParentRun) -> None:
        """The student takes the teacher's noise; the features are those of a discriminator."""
        check_student(model, parent.trained())
        check_features(model, self.settings)

    def compress(self, model: Model, parent: ParentRun) -> Compression:
        """The model's own training, with the distance to the teacher as one more term."""
        s, teacher = self.settings, Teacher(parent)
        lesson = Lesson(model, teacher, s, parent.data.shape)
        makers, judges = generating(model), judging(model)
        if not s.own_loss:
            stages, optimizers = alone(model, makers, lesson)
            return Compression(stages=stages, optimizers=optimizers)
        stages = with_terms(model, makers, lesson, model.stages())
        return Compression(stages=started(stages, model, teacher, judges, s))


class Lesson:
    """The term that a student learns from: weight * d(G_S(z), G_T(z)) of fresh noise."""

    def __init__(
        self, model: Model, teacher: Teacher, s: TeachingSettings, shape: Sequence[int]
    ) -> None:
        self._model, self._teacher, self._settings = model, teacher, s
        self._judges = judging(model)
        self._weight = default_weight(model, shape) if s.weight is None else s.weight

    def __call__(self, batch: Batch) -> Mapping[str, Tensor]:
        """The term ``distance`` for a minibatch, of which only the number and labels count."""
        z, y = noise_of(self._model, batch)
        teacher = self._teacher.on(z.device)
        with torch.no_grad():
            theirs = drawn(teacher, z, y)
        return {"distance": self._weight * self.between(drawn(self._model, z, y), theirs, y)}

    def between(self, own: Tensor, theirs: Tensor, y: Tensor | None) -> Tensor:
        """The distance of two minibatches of samples."""
        kind = self._settings.distance
        if kind != "feature":
            return distance(kind, own, theirs)
        teacher = self._teacher.on(own.device)
        with torch.no_grad():
            target = hidden_features(teacher, theirs, y, self._judges)
        return distance(kind, hidden_features(teacher, own, y, self._judges), target)


def started(
    stages: Sequence[Stage],
    model: Model,
    teacher: Teacher,
    judges: Sequence[str],
    s: DistilSettings,
) -> tuple[Stage, ...]:
    """The stages, of which the first begins with the teacher's discriminator, if that is asked."""
    if s.discriminator == "initial" or not judges:
        return tuple(stages)

    def begin(batches: Iterator[Batch]) -> None:
        copy_nets(model, teacher.on(device_of(model)), judges)

    return (replace(stages[0], begin=begin), *stages[1:])


def check_features(model: Model, s: TeachingSettings) -> None:
    """Raise IncompatibleError if the distance needs a discriminator, and there is none."""
    if s.distance == "feature" and not isinstance(model, Discriminates):
        raise IncompatibleError(
            f"distance=feature uses the hidden features of a discriminator, and "
            f"{type(model).__name__} has none; set distance=mse or l1"
        )
