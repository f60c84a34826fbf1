"""The built-in metrics: each score comes with its protocol and its floor (see docs/scores.md)."""

from __future__ import annotations

import genbench


@genbench.hookimpl
def genbench_register_metrics(register: genbench.Register) -> None:
    """Register the built-in metrics."""
    register(
        "fd_clf",
        "genbench_metrics.fd_clf:FdClf",
        settings="genbench_metrics.settings:FdClfSettings",
        summary="Fréchet distance on the features of the data set's own classifier (84-d LeNet)",
        family="fréchet distance",
        source="Heusel 2017 (arXiv:1706.08500) on LeNet-5 features",
    )
    register(
        "fd_pixel",
        "genbench_metrics.fd_pixel:FdPixel",
        settings="genbench_metrics.settings:FdPixelSettings",
        summary="Fréchet distance on raw pixels; needs no weights, but is a weak measure",
        family="fréchet distance",
        source="Heusel 2017 (arXiv:1706.08500) on pixels",
    )
    register(
        "fid",
        "genbench_metrics.fid:Fid",
        settings="genbench_metrics.settings:FidSettings",
        summary="Fréchet inception distance (Inception-v3 of 2015, 2048-d, by torch-fidelity)",
        family="fréchet distance",
        source="Heusel 2017 (arXiv:1706.08500)",
    )
    register(
        "classes",
        "genbench_metrics.classes:ClassCounts",
        settings="genbench_metrics.collapse_settings:ClassesSettings",
        summary="number of classes among the samples, by a classifier, and KL of their frequencies",
        family="collapse",
        source="Srivastava 2017 (arXiv:1705.07761), number of modes and KL",
        watch=True,
    )
    register(
        "label_accuracy",
        "genbench_metrics.label_accuracy:LabelAccuracy",
        settings="genbench_metrics.label_accuracy_settings:LabelAccuracySettings",
        summary="share of a conditional model's samples classified as the requested class",
        family="labels",
        source="Shmelkov 2018 (arXiv:1807.09499), GAN-test",
        capabilities=("generates", "conditional"),
    )
    register(
        "spread",
        "genbench_metrics.spread:Spread",
        settings="genbench_metrics.collapse_settings:SpreadSettings",
        summary="standard deviation of samples in pixel space relative to the data; 0: collapsed",
        family="collapse",
        watch=True,
    )
    register(
        "reconstruction",
        "genbench_metrics.reconstruction:ReconstructionError",
        settings="genbench_metrics.settings:ReconstructionSettings",
        summary="mean squared error of reconstructed test images, per pixel in [0, 1]",
        family="reconstruction",
        capabilities=("reconstructs",),
    )
    register(
        "kid",
        "genbench_metrics.kid:Kid",
        settings="genbench_metrics.feature_settings:KidSettings",
        summary="kernel inception distance (unbiased MMD) on any extractor",
        family="features",
        source="Bińkowski 2018 (arXiv:1801.01401)",
    )
    register(
        "is",
        "genbench_metrics.inception_score:InceptionScore",
        settings="genbench_metrics.feature_settings:InceptionScoreSettings",
        summary="inception score, from the class probabilities of any classifier",
        family="features",
        source="Salimans 2016 (arXiv:1606.03498)",
    )
    register(
        "precision",
        "genbench_metrics.precision_recall:Precision",
        settings="genbench_metrics.feature_settings:PrecisionRecallSettings",
        summary="share of samples within the manifold of the test images (quality)",
        family="features",
        source="Kynkäänniemi 2019 (arXiv:1904.06991)",
    )
    register(
        "recall",
        "genbench_metrics.precision_recall:Recall",
        settings="genbench_metrics.feature_settings:PrecisionRecallSettings",
        summary="share of test images within the manifold of the samples (variety)",
        family="features",
        source="Kynkäänniemi 2019 (arXiv:1904.06991)",
    )
    register(
        "density",
        "genbench_metrics.density_coverage:Density",
        settings="genbench_metrics.feature_settings:DensityCoverageSettings",
        summary="density of test images around samples, about 1 for real samples (quality)",
        family="features",
        source="Naeem 2020 (arXiv:2002.09797)",
    )
    register(
        "coverage",
        "genbench_metrics.density_coverage:Coverage",
        settings="genbench_metrics.feature_settings:DensityCoverageSettings",
        summary="share of test images with a sample nearby (variety)",
        family="features",
        source="Naeem 2020 (arXiv:2002.09797)",
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
    register(
        "nll",
        "genbench_metrics.nll:Nll",
        settings="genbench_metrics.likelihood_settings:NllSettings",
        summary="negative log-likelihood of test samples in nats: exact, or a bound with k draws",
        family="likelihood",
        source="Burda 2016 (arXiv:1509.00519), eq. 8",
        capabilities=(
            "has-density|encodes",
            "has-density|generates",
            "has-density|has-likelihood",
        ),
    )
    register(
        "bits_per_dim",
        "genbench_metrics.exact_density:BitsPerDim",
        settings="genbench_metrics.likelihood_settings:HeldOutSettings",
        summary="exact negative log-likelihood of dequantised test images, in bits per dimension",
        family="likelihood",
        source="Theis 2016 (arXiv:1511.01844), section 3.1",
        capabilities=("has-density",),
    )
    register(
        "elbo",
        "genbench_metrics.elbo:Elbo",
        settings="genbench_metrics.likelihood_settings:ElboSettings",
        summary="evidence lower bound of test samples and its two parts, in nats",
        family="likelihood",
        source="Kingma & Welling 2013 (arXiv:1312.6114), eq. 3",
        capabilities=("encodes", "generates", "has-likelihood"),
    )
    register(
        "active_units",
        "genbench_metrics.active_units:ActiveUnits",
        settings="genbench_metrics.likelihood_settings:ActiveUnitsSettings",
        summary="number of latents with a posterior mean that varies (variance > 0.01)",
        family="likelihood",
        source="Burda 2016 (arXiv:1509.00519), section 5.2",
        capabilities=("encodes",),
    )
