"""The laws of the extractors under the scores: which is taken, one pass for all, names in full."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from genbench import Data, DataError, DataSpec, Split, UsageError
from genbench.features.classifier import classifier_for
from genbench.features.sharing import shared_network
from genbench_metrics.extractors import features_for, logits_for
from genbench_metrics.fd_clf import FdClf
from genbench_metrics.feature_settings import FeatureSettings
from genbench_metrics.inception import LOGITS, InceptionFeatures
from genbench_metrics.kid import Kid
from genbench_metrics.precision_recall import Precision

AUTO = FeatureSettings()
INCEPTION = FeatureSettings(extractor="inception")


def _points() -> Data:
    split = Split(x=np.zeros((30, 2), np.float32), y=None, digest="p")
    return Data(spec=DataSpec(name="ring", shape=(2,)), train=split, test=split)


def test_auto_takes_the_classifier_where_there_are_labels_and_else_the_values(
    context: Any, digits: Data
) -> None:
    unlabelled = replace(digits, train=replace(digits.train, y=None))
    names = [
        features_for("kid", context(data=data), AUTO).extractor.name
        for data in (digits, unlabelled, _points())
    ]
    assert names == ["lenet5-84", "pixels", "pixels"]


def test_what_the_data_do_not_allow_is_refused_with_the_fix(context: Any) -> None:
    classifier = FeatureSettings(extractor="classifier")
    with pytest.raises(UsageError, match=r"'ring' has points; use --set metric\.kid\.extractor=pi"):
        features_for("kid", context(data=_points()), classifier)
    with pytest.raises(UsageError, match=r"kid on inception needs grey or RGB images.* is 2$"):
        features_for("kid", context(data=_points()), INCEPTION)


def test_missing_inception_weights_name_the_setting_of_the_metric_that_asked(
    context: Any, digits: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(DataError, match=r"^recall: .*--set metric\.recall\.weights=PATH"):
        features_for("recall", context(data=digits), INCEPTION)
    with pytest.raises(UsageError, match="too expensive between two epochs"):
        logits_for("is", context(data=digits, quick=True), INCEPTION)


def test_metrics_on_one_network_send_a_minibatch_through_it_once() -> None:
    passes: list[int] = []

    def run(samples: Tensor) -> tuple[Tensor, ...]:
        passes.append(len(samples))
        return (samples.float().mean((1, 2, 3)),)

    first, second = (shared_network("means on the cpu", lambda: run) for _ in range(2))
    batches = [torch.full((4, 1, 2, 2), value, dtype=torch.uint8) for value in (1, 2)]
    for batch in batches:
        expected = batch.float().mean((1, 2, 3))
        assert torch.equal(first.outputs(batch)[0], expected)
        assert torch.equal(second.outputs(batch)[0], expected)
    assert passes == [4, 4]
    first.outputs(batches[0])
    assert passes == [4, 4, 4]


def test_a_shared_network_goes_with_the_last_extractor_that_holds_it() -> None:
    built: list[int] = []

    def build() -> Any:
        built.append(1)
        return lambda samples: (samples,)

    held = shared_network("kept while held", build)
    assert shared_network("kept while held", build) is held
    assert len(built) == 1
    del held
    assert shared_network("kept while held", build) is not None
    assert len(built) == 2


def test_classifiers_of_the_same_weights_are_shared_by_fd_clf_and_the_other_scores(
    context: Any, digits: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = context(data=digits, n=100)
    metrics = [FdClf(), Kid(), Precision()]
    for metric in metrics:
        metric.begin(made)
    classifier, _ = classifier_for(made, (1, 28, 28))
    seen: list[int] = []
    network = classifier._network
    plain = network._run

    def counted(samples: Tensor) -> tuple[Tensor, ...]:
        seen.append(len(samples))
        return plain(samples)

    monkeypatch.setattr(network, "_run", counted)
    for batch in torch.tensor(digits.test.x[:100]).split(30):
        for metric in metrics:
            metric.update(batch)
    assert seen == [30, 30, 30, 10]
    assert all(metric.result()[0].n == 100 for metric in metrics)


def test_features_and_logits_of_inception_come_from_one_network(weights: Path) -> None:
    pooled = InceptionFeatures(weights, device=torch.device("cpu"))
    logits = InceptionFeatures(weights, device=torch.device("cpu"), layer=LOGITS)
    assert pooled._network is logits._network
    assert (pooled.dim, logits.dim) == (2048, 1008)
    images = torch.randint(0, 256, (2, 3, 20, 20), dtype=torch.uint8)
    assert pooled.features(images).shape == (2, 2048)
    assert logits.features(images).shape == (2, 1008)
    assert logits.protocol["layer"] == "logits_unbiased"
