"""Compressors: methods that make the model of a finished run smaller or faster.

``genbench compress RUN --method NAME`` trains each of them as a run of its own; its parent is
RUN. One file for each paper; `channels` and `masks` are what they remove.
"""

from __future__ import annotations

import genbench

MAKES_SAMPLES = ("generates",)


@genbench.hookimpl
def genbench_register_compressors(register: genbench.Register) -> None:
    """The methods, with what they need of a model."""
    register(
        "prune",
        "genbench_compress.prune:Prune",
        settings="genbench_compress.prune_settings:PruneSettings",
        summary="remove weights or whole channels, at once or in rounds, and fine-tune",
        family="pruning",
        source="Han et al. 2015, arXiv:1506.02626; Li et al. 2017, arXiv:1608.08710",
        capabilities=MAKES_SAMPLES,
    )
    register(
        "lottery",
        "genbench_compress.lottery:Lottery",
        settings="genbench_compress.prune_settings:LotterySettings",
        summary="remove the smallest weights, go back to the initial ones, and train again",
        family="pruning",
        source="Frankle & Carbin 2019, arXiv:1803.03635; Chen et al. 2021, arXiv:2106.00134",
        capabilities=MAKES_SAMPLES,
    )
    register(
        "self-supervised",
        "genbench_compress.self_supervised:SelfSupervised",
        settings="genbench_compress.prune_settings:SelfSupervisedSettings",
        summary="prune the generator; the frozen discriminator of its parent trains it",
        family="pruning",
        source="Yu & Pool 2020, arXiv:2007.01491",
        capabilities=(*MAKES_SAMPLES, "discriminates"),
    )
    register(
        "evolve",
        "genbench_compress.evolution:Evolve",
        settings="genbench_compress.prune_settings:EvolveSettings",
        summary="choose by evolution which filters are kept, and fine-tune",
        family="pruning",
        source="Shu et al. 2019, arXiv:1907.10804",
        capabilities=MAKES_SAMPLES,
    )
    register(
        "grow",
        "genbench_compress.growing:Grow",
        settings="genbench_compress.prune_settings:GrowSettings",
        summary="train from a light network, widen it, then drop similar channels",
        family="pruning",
        source="Song et al. 2021, SP-GAN, IEEE TNNLS",
        capabilities=MAKES_SAMPLES,
    )
    register(
        "distil",
        "genbench_compress.distil:Distil",
        settings="genbench_compress.distil_settings:DistilSettings",
        summary="a student of another width learns the samples of the run, beside its own loss",
        family="distillation",
        source="Aguinaldo et al. 2019, arXiv:1902.00159",
        capabilities=MAKES_SAMPLES,
    )
    register(
        "distil-simultaneous",
        "genbench_compress.simultaneous:Simultaneous",
        settings="genbench_compress.distil_settings:SimultaneousSettings",
        summary="a student and its discriminator learn from the run, with a triplet loss",
        family="distillation",
        source="Chen et al. 2020, arXiv:2003.03519",
        capabilities=("generates", "discriminates"),
    )
    register(
        "content-aware",
        "genbench_compress.content_aware:ContentAware",
        settings="genbench_compress.distil_settings:ContentAwareSettings",
        summary="remove the channels with the least effect inside a mask, and learn inside it",
        family="distillation",
        source="Liu et al. 2021, arXiv:2104.02244",
        capabilities=MAKES_SAMPLES,
    )
    register(
        "quantize",
        "genbench_compress.quantize:Quantize",
        settings="genbench_compress.quantize_settings:QuantizeSettings",
        summary="int8 weights and activations, with or without quantization-aware training",
        family="quantization",
        source="Jacob et al. 2018, arXiv:1712.05877",
        capabilities=MAKES_SAMPLES,
    )


@genbench.hookimpl
def genbench_register_metrics(register: genbench.Register) -> None:
    """What a generator costs."""
    register(
        "size",
        "genbench_compress.size:Size",
        settings="genbench_compress.cost_settings:SizeSettings",
        summary="parameters, bytes and multiply-accumulate operations of what makes samples",
        family="cost",
        capabilities=MAKES_SAMPLES,
    )
    register(
        "latency",
        "genbench_compress.latency:Latency",
        settings="genbench_compress.cost_settings:LatencySettings",
        summary="milliseconds, samples per second and memory at batches of 1 and 100",
        family="cost",
        capabilities=MAKES_SAMPLES,
    )
