"""The built-in data sets: one embedded, four that download, any folder of images (docs/data.md)."""

from __future__ import annotations

from functools import partial

import genbench


@genbench.hookimpl
def genbench_register_datasets(register: genbench.Register) -> None:
    """Register the built-in data sets."""
    images = partial(register, family="images")
    images(
        "digits",
        "genbench_data.digits:Digits",
        settings="genbench_data.image_settings:DigitsSettings",
        summary="1,797 handwritten digits, 8x8 resized to 28x28; included, needs no download",
        source="scikit-learn load_digits: UCI optdigits (Alpaydin and Kaynak 1998)",
    )
    images(
        "mnist",
        "genbench_data.torchvision_sets:Mnist",
        settings="genbench_data.image_settings:MnistSettings",
        summary="70,000 handwritten digits, 28x28 grey; downloaded if missing",
        source="LeCun, Cortes and Burges 1998, by torchvision's mirrors",
    )
    images(
        "fashion-mnist",
        "genbench_data.torchvision_sets:FashionMnist",
        settings="genbench_data.image_settings:FashionMnistSettings",
        summary="70,000 articles of clothing, 28x28 grey; downloaded if missing",
        source="Xiao, Rasul and Vollgraf 2017 (arXiv:1708.07747)",
    )
    images(
        "stacked-mnist",
        "genbench_data.stacked:StackedMnist",
        settings="genbench_data.image_settings:StackedMnistSettings",
        summary="three digits as the channels of an image, 1,000 modes; from mnist, else digits",
        source="Metz 2017 (arXiv:1611.02163); Srivastava 2017 (arXiv:1705.07761)",
    )
    images(
        "imagenette",
        "genbench_data.imagenette:Imagenette",
        settings="genbench_data.imagenette_settings:ImagenetteSettings",
        summary="13,394 photographs in 10 classes, 160x160 colour; downloaded if missing (99 MB)",
        source="Howard 2019, github.com/fastai/imagenette: a part of ImageNet",
    )
    images(
        "celeba",
        "genbench_data.celeba:Celeba",
        settings="genbench_data.celeba_settings:CelebaSettings",
        summary="202,599 faces, 64x64 colour, attributes as labels; from Google Drive or by hand",
        source="Liu, Luo, Wang and Tang 2015 (arXiv:1411.7766)",
    )
    images(
        "image-folder",
        "genbench_data.image_folder:ImageFolder",
        settings="genbench_data.image_settings:ImageFolderSettings",
        summary="any folder of images; subfolders are classes (set path)",
        source="your own",
    )
    register(
        "latents",
        "genbench_data.latents:Latents",
        settings="genbench_data.latents_settings:LatentsSettings",
        summary="the latent space of a finished run, latents:RUN; samples are decoded by that run",
        family="latents",
        source="Lin et al. 2023, Generate Faster; Dai and Wipf 2019 (arXiv:1903.05789)",
    )
