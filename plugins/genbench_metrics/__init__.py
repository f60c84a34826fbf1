"""The built-in metrics: each score comes with its protocol and its floor (see docs/scores.md)."""

from __future__ import annotations

from functools import partial

import genbench


@genbench.hookimpl
def genbench_register_metrics(register: genbench.Register) -> None:
    """Register the built-in metrics."""
    frechet = partial(register, family="fréchet distance")
    collapse = partial(register, family="collapse", watch=True)
    on_features = partial(register, family="features")
    likelihood = partial(register, family="likelihood")
    frechet(
        "fd_clf",
        "genbench_metrics.fd_clf:FdClf",
        settings="genbench_metrics.metric_settings:FdClfSettings",
        summary="Fréchet distance on the features of the data set's own classifier (84-d LeNet)",
        source="Heusel 2017 (arXiv:1706.08500) on LeNet-5 features",
        watch=True,
    )
    frechet(
        "fd_pixel",
        "genbench_metrics.fd_pixel:FdPixel",
        settings="genbench_metrics.metric_settings:FdPixelSettings",
        summary="Fréchet distance on raw pixels; needs no weights, but is a weak measure",
        source="Heusel 2017 (arXiv:1706.08500) on pixels",
    )
    frechet(
        "fid",
        "genbench_metrics.fid:Fid",
        settings="genbench_metrics.metric_settings:FidSettings",
        summary="Fréchet inception distance (Inception-v3 of 2015, 2048-d, by torch-fidelity)",
        source="Heusel 2017 (arXiv:1706.08500)",
    )
    collapse(
        "classes",
        "genbench_metrics.class_counts:ClassCounts",
        settings="genbench_metrics.metric_settings:ClassesSettings",
        summary="number of classes among the samples, by a classifier, and KL of their frequencies",
        source="Srivastava 2017 (arXiv:1705.07761), number of modes and KL",
    )
    register(
        "label_accuracy",
        "genbench_metrics.label_accuracy:LabelAccuracy",
        settings="genbench_metrics.metric_settings:LabelAccuracySettings",
        summary="share of a conditional model's samples classified as the requested class",
        family="labels",
        source="Shmelkov 2018 (arXiv:1807.09499), GAN-test",
        capabilities=("generates", "conditional"),
    )
    collapse(
        "spread",
        "genbench_metrics.spread:Spread",
        settings="genbench_metrics.metric_settings:SpreadSettings",
        summary="standard deviation of samples in pixel space relative to the data; 0: collapsed",
    )
    register(
        "reconstruction",
        "genbench_metrics.reconstruction:ReconstructionError",
        settings="genbench_metrics.metric_settings:ReconstructionSettings",
        summary="mean squared error of reconstructed test images, per pixel in [0, 1]",
        family="reconstruction",
        capabilities=("reconstructs",),
    )
    register(
        "translation",
        "genbench_metrics.translation:TranslationScores",
        settings="genbench_metrics.metric_settings:TranslationSettings",
        summary="accuracy, distance to real images and cycle error of translated test images",
        family="labels",
        source="Choi 2018 (arXiv:1711.09020), section 5.4",
        capabilities=("translates",),
    )
    on_features(
        "kid",
        "genbench_metrics.kid:Kid",
        settings="genbench_metrics.feature_settings:KidSettings",
        summary="kernel inception distance (unbiased MMD) on any extractor",
        source="Bińkowski 2018 (arXiv:1801.01401)",
    )
    on_features(
        "is",
        "genbench_metrics.inception_score:InceptionScore",
        settings="genbench_metrics.feature_settings:InceptionScoreSettings",
        summary="inception score, from the class probabilities of any classifier",
        source="Salimans 2016 (arXiv:1606.03498)",
    )
    on_features(
        "precision",
        "genbench_metrics.precision_recall:Precision",
        settings="genbench_metrics.feature_settings:PrecisionRecallSettings",
        summary="share of samples within the manifold of the test images (quality)",
        source="Kynkäänniemi 2019 (arXiv:1904.06991)",
    )
    on_features(
        "recall",
        "genbench_metrics.precision_recall:Recall",
        settings="genbench_metrics.feature_settings:PrecisionRecallSettings",
        summary="share of test images within the manifold of the samples (variety)",
        source="Kynkäänniemi 2019 (arXiv:1904.06991)",
    )
    on_features(
        "density",
        "genbench_metrics.density_coverage:Density",
        settings="genbench_metrics.feature_settings:DensityCoverageSettings",
        summary="density of test images around samples, about 1 for real samples (quality)",
        source="Naeem 2020 (arXiv:2002.09797)",
    )
    on_features(
        "coverage",
        "genbench_metrics.density_coverage:Coverage",
        settings="genbench_metrics.feature_settings:DensityCoverageSettings",
        summary="share of test images with a sample nearby (variety)",
        source="Naeem 2020 (arXiv:2002.09797)",
    )
    on_features(
        "vendi",
        "genbench_metrics.vendi:Vendi",
        settings="genbench_metrics.feature_settings:VendiSettings",
        summary="effective number of different samples; best: that of real images",
        source="Friedman & Dieng 2023 (arXiv:2210.02410)",
    )
    on_features(
        "nn_accuracy",
        "genbench_metrics.nn_accuracy:NnAccuracy",
        settings="genbench_metrics.feature_settings:NnAccuracySettings",
        summary="accuracy of a nearest neighbour that tells samples from test images; best: 0.5",
        source="Lopez-Paz & Oquab 2017 (arXiv:1610.06545); Xu 2018 (arXiv:1806.07755)",
    )
    on_features(
        "fd_inf",
        "genbench_metrics.fd_inf:FdInf",
        settings="genbench_metrics.feature_settings:FdInfSettings",
        summary="Fréchet distance at infinitely many samples, extrapolated, on any extractor",
        source="Chong & Forsyth 2020 (arXiv:1911.07023)",
    )
    copying = partial(register, family="memorisation")
    copying(
        "ct",
        "genbench_metrics.copying:Copying",
        settings="genbench_metrics.feature_settings:CopyingSettings",
        summary="C_T, a z-score of copying: below -3, samples are copies of training images",
        source="Meehan 2020 (arXiv:2004.05675)",
    )
    copying(
        "authenticity",
        "genbench_metrics.copying:Authenticity",
        settings="genbench_metrics.feature_settings:AuthenticitySettings",
        summary="share of samples that copy no training image; best: that of test images",
        source="Alaa 2022 (arXiv:2102.08921)",
    )
    register(
        "nearest",
        "genbench_metrics.nearest:Nearest",
        settings="genbench_metrics.feature_settings:NearestSettings",
        summary="nearest training images of samples, as a picture, and whether they are copies",
        family="memorisation",
        source="Meehan 2020 (arXiv:2004.05675)",
    )
    register(
        "samples_per_second",
        "genbench_metrics.samples_per_second:SamplesPerSecond",
        settings="genbench_metrics.feature_settings:SamplesPerSecondSettings",
        summary="samples generated per second with plain sampling in large batches",
        family="speed",
        capabilities=("generates",),
    )
    likelihood(
        "nll",
        "genbench_metrics.nll:Nll",
        settings="genbench_metrics.likelihood_settings:NllSettings",
        summary="negative log-likelihood of test samples in nats: exact, or a bound with k draws",
        source="Burda 2016 (arXiv:1509.00519), eq. 8",
        capabilities=(
            "has-density|encodes",
            "has-density|generates",
            "has-density|has-likelihood",
        ),
    )
    likelihood(
        "bits_per_dim",
        "genbench_metrics.exact_density:BitsPerDim",
        settings="genbench_metrics.likelihood_settings:HeldOutSettings",
        summary="exact negative log-likelihood of dequantised test images, in bits per dimension",
        source="Theis 2016 (arXiv:1511.01844), section 3.1",
        capabilities=("has-density",),
    )
    likelihood(
        "elbo",
        "genbench_metrics.elbo:Elbo",
        settings="genbench_metrics.likelihood_settings:ElboSettings",
        summary="evidence lower bound of test samples and its two parts, in nats",
        source="Kingma & Welling 2013 (arXiv:1312.6114), eq. 3",
        capabilities=("encodes", "generates", "has-likelihood"),
    )
    likelihood(
        "active_units",
        "genbench_metrics.active_units:ActiveUnits",
        settings="genbench_metrics.likelihood_settings:ActiveUnitsSettings",
        summary="number of latents with a posterior mean that varies (variance > 0.01)",
        source="Burda 2016 (arXiv:1509.00519), section 5.2",
        capabilities=("encodes",),
    )
