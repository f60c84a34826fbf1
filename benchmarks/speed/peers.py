"""Epochs of other trainers, on the networks of a genbench model that was built for them.

Each function takes that model, the images of one epoch as uint8 (N, 1, 28, 28) and a folder for
what the trainer writes. It returns a call that trains for an epoch, in batches of 100, and returns
its seconds. Images are float tensors in memory, of which a DataLoader makes batches, as these
trainers do by default.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from speed.notebook import Images
from speed.pair import Seconds, now, since, timed

Epoch = Callable[[], Seconds]
BATCH, LR = 100, 1e-3


def pythae_vae(model: Any, images: Images, folder: Path) -> Epoch:
    """pythae's VAE with BCE in its `BaseTrainer`."""
    from pythae.models import VAE, VAEConfig

    encoder, decoder = _pythae_networks(model, ("embedding", "log_covariance"))
    shape, size = images.shape[1:], model.settings.z_dim
    config = VAEConfig(input_dim=shape, latent_dim=size, reconstruction_loss="bce")
    return _pythae_epoch(VAE(config, encoder=encoder, decoder=decoder), images, folder)


def pythae_vq_vae(model: Any, images: Images, folder: Path) -> Epoch:
    """pythae's VQ-VAE with moving averages in its `BaseTrainer`."""
    from pythae.models import VQVAE, VQVAEConfig

    encoder, decoder = _pythae_networks(model, ("embedding",))
    config = VQVAEConfig(
        input_dim=images.shape[1:],
        latent_dim=model.settings.code_dim,
        num_embeddings=model.settings.codes,
        use_ema=True,
    )
    return _pythae_epoch(VQVAE(config, encoder=encoder, decoder=decoder), images, folder)


def _pythae_networks(model: Any, outputs: tuple[str, ...]) -> tuple[Any, Any]:
    """The networks of a model as pythae's; ``outputs`` are its names for the encoder's parts."""
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    class Encoder(BaseEncoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = model.nets["encoder"]

        def forward(self, x: Tensor) -> Any:
            parts = self.net(x).chunk(len(outputs), 1)
            return ModelOutput(**dict(zip(outputs, parts, strict=True)))

    class Decoder(BaseDecoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = model.nets["decoder"]

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=self.net(z).sigmoid())

    return Encoder(), Decoder()


def _pythae_epoch(model: Any, images: Images, folder: Path) -> Epoch:
    from pythae.data.datasets import BaseDataset
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    logging.disable(logging.INFO)
    x = torch.from_numpy(images.copy()).float() / 255
    config = BaseTrainerConfig(
        output_dir=str(folder), per_device_train_batch_size=BATCH, learning_rate=LR, no_cuda=True
    )
    data = BaseDataset(x, torch.zeros(len(x)))
    trainer = BaseTrainer(model, data, training_config=config)
    trainer.prepare_training()
    epochs = iter(range(1, 1_000_000))

    def epoch() -> Seconds:
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
            return timed(lambda: trainer.train_step(next(epochs)))

    return epoch


def lightning_vae(model: Any, images: Images, folder: Path) -> Epoch:
    """The VAE as a LightningModule in Lightning's `Trainer`, without logger and checkpoints.

    The seconds are those between the hooks at the start and at the end of an epoch.
    """
    import lightning

    class VAE(lightning.LightningModule):  # type: ignore[misc]
        seconds: Seconds

        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.decoder = model.nets["encoder"], model.nets["decoder"]

        def training_step(self, batch: list[Tensor], index: int) -> Tensor:
            (x,) = batch
            mean, logvar = self.encoder(x).chunk(2, 1)
            logits = self.decoder(mean + torch.randn_like(mean) * torch.exp(0.5 * logvar))
            bce = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
            kl = -0.5 * torch.sum(1 + logvar - mean.pow(2) - logvar.exp())
            loss = (bce + kl) / len(x)
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=LR)

    class Clock(lightning.Callback):  # type: ignore[misc]
        def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
            self.begun = now()

        def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
            module.seconds = since(self.begun)

    x = torch.from_numpy(images.copy()).float() / 255
    data = torch.utils.data.TensorDataset(x)
    loader = torch.utils.data.DataLoader(data, batch_size=BATCH, shuffle=True)
    module = VAE()

    def epoch() -> Seconds:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            lightning.Trainer(
                accelerator="cpu",
                max_epochs=1,
                callbacks=[Clock()],
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                default_root_dir=folder,
            ).fit(module, loader)
        return module.seconds

    return epoch
