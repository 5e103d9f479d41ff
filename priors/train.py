"""Train the Emoji-64 prior. One seeded, resumable script, on CPU or GPU:

    python -m priors.train data        render the font, make the pool of augmented pictures
    python -m priors.train autoencoder train the KL autoencoder on the pool
    python -m priors.train denoiser    encode the pool, train the denoiser on its standardised latents
    python -m priors.train evaluate    held-out figures (JSON) and the sample sheet (PNG)

(run from the repository root). Everything goes to ``--work``; each training command saves a checkpoint (weights, EMA,
optimiser, generator, step, minutes used) every few minutes and continues from it when started again, so it may be
killed at any time. ``--steps`` or ``--minutes`` set the budget over which the learning rate falls to zero on a cosine.
``--init FOLDER`` starts from existing weights. The weights for `loader.load_emoji_prior` are in ``--work/weights``.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import math
import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, autocast, nn

from . import loader
from .autoencoder import Autoencoder
from .classes import CLASSES, NULL_INDEX
from .data import Augmentation, Glyphs, render_glyphs
from .evaluate import denoising_loss, held_out_pictures, reconstruction_psnr, sample_sheet, to_model_range
from .unet import Denoiser

log = logging.getLogger("emoji64.train")


@dataclass(frozen=True)
class TrainOptions:
    """What a training run depends on; ``steps`` = 0 means that ``minutes`` alone is the budget."""

    seed: int = 0
    steps: int = 0
    minutes: float = 30.0
    batch: int = 32
    learning_rate: float = 1e-3
    warm_up: int = 200
    constant_fraction: float = 0.1
    ema_decay: float = 0.9995
    null_fraction: float = 0.15
    log_sigma_mean: float = -0.3
    log_sigma_std: float = 1.3
    save_minutes: float = 4.0


@dataclass
class Progress:
    """Step and minutes used so far (over all runs) against the budget."""

    options: TrainOptions
    step: int = 0
    minutes_before: float = 0.0
    started: float = field(default_factory=time.monotonic)

    @property
    def minutes(self) -> float:
        """Minutes spent in training, earlier runs included."""
        return self.minutes_before + (time.monotonic() - self.started) / 60

    @property
    def fraction(self) -> float:
        """How much of the budget is used; 1 and more: stop."""
        by_time = self.minutes / self.options.minutes if self.options.minutes else 0.0
        return max(by_time, self.step / self.options.steps if self.options.steps else 0.0)

    def learning_rate(self) -> float:
        """Linear warm-up, constant, then a cosine to zero at the end of the budget."""
        o = self.options
        fall = max(0.0, self.fraction - o.constant_fraction) / (1 - o.constant_fraction)
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, fall)))
        return o.learning_rate * min(1.0, (self.step + 1) / o.warm_up) * cosine


class Trainer:
    """Optimiser, EMA, generator and checkpoint of one module. Random numbers are drawn on the CPU, whatever the device,
    so that a run has the same noise everywhere."""

    def __init__(self, module: nn.Module, options: TrainOptions, checkpoint: Path, device: torch.device) -> None:
        self.module = module.to(device)
        self.average = copy.deepcopy(self.module).requires_grad_(False)
        self.parameters = [p for p in self.module.parameters() if p.requires_grad]
        self.optimiser = torch.optim.Adam(self.parameters, lr=options.learning_rate, betas=(0.9, 0.99), fused=True)
        self.generator = torch.Generator().manual_seed(options.seed)
        self.progress = Progress(options)
        self.checkpoint = checkpoint
        self.device = device
        if checkpoint.is_file():
            self._resume()

    def _resume(self) -> None:
        state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        self.module.load_state_dict(state["module"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        self.progress.step, self.progress.minutes_before = state["step"], state["minutes"]
        log.info("continuing at step %d, %.1f minutes used", state["step"], state["minutes"])

    def save(self) -> None:
        """Write the checkpoint to a temporary name, then rename: a kill never leaves half a file."""
        state = {
            "module": self.module.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "step": self.progress.step,
            "minutes": self.progress.minutes,
        }
        temporary = self.checkpoint.with_suffix(".tmp")
        torch.save(state, temporary)
        temporary.replace(self.checkpoint)

    def steps(self) -> Iterator[bool]:
        """Yield until the budget is used, True when it is time to report and save; once more True at the end."""
        last = time.monotonic()
        while self.progress.fraction < 1:
            for group in self.optimiser.param_groups:
                group["lr"] = self.progress.learning_rate()
            due = time.monotonic() - last > 60 * self.progress.options.save_minutes
            if due:
                last = time.monotonic()
            yield due
        yield True

    def update(self, loss: Tensor) -> None:
        """One optimiser step with clipped gradient norm, then the moving average (faster while it is young)."""
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        self.progress.step += 1
        decay = min(self.progress.options.ema_decay, (1 + self.progress.step) / (10 + self.progress.step))
        with torch.no_grad():
            for mean, now in zip(self.average.parameters(), self.module.parameters(), strict=True):
                mean.lerp_(now, 1 - decay)

    def randn(self, *shape: int) -> Tensor:
        """Standard normal numbers from the run's generator, on the device."""
        return torch.randn(*shape, generator=self.generator).to(self.device)

    def rand(self, *shape: int) -> Tensor:
        """Uniform numbers from the run's generator, on the CPU."""
        return torch.rand(*shape, generator=self.generator)

    def mixed_precision(self) -> autocast:
        """bfloat16 on the device."""
        return autocast(self.device.type, torch.bfloat16)


# ---------------------------------------------------------------------------------------------------------------- data


def make_data(work: Path, pool: int, seed: int, workers: int) -> None:
    """Glyph archive and pool of augmented pictures; picture k does not depend on the number of workers."""
    work.mkdir(parents=True, exist_ok=True)
    glyphs = render_glyphs()
    glyphs.save(work / "glyphs.npz")
    log.info("%d glyphs, %d held out", len(glyphs.label), int(glyphs.held_out.sum()))
    chunks = [(work / "glyphs.npz", min(1000, pool - k), seed * 1_000_003 + k) for k in range(0, pool, 1000)]
    with multiprocessing.get_context("spawn").Pool(workers) as processes:
        parts = processes.map(_make_chunk, chunks)
    np.save(work / "pool_images.npy", np.concatenate([images for images, _ in parts]))
    np.save(work / "pool_labels.npy", np.concatenate([labels for _, labels in parts]))
    log.info("pool of %d pictures", pool)


def _make_chunk(task: tuple[Path, int, int]) -> tuple[np.ndarray, np.ndarray]:
    archive, count, seed = task
    return Augmentation(Glyphs.load(archive)).batch(count, np.random.default_rng(seed))


# --------------------------------------------------------------------------------------------------------- autoencoder


def train_autoencoder(
    work: Path, options: TrainOptions, init: Path | None, device: torch.device, decoder_only: bool = False
) -> None:
    """L1 + half the L1 of the finite differences + half the squared error + 2e-4 KL (per latent number).

    With ``decoder_only`` the encoder stays as it is, so that a denoiser trained on its latents stays valid.
    """
    model = Autoencoder() if init is None else loader.load_autoencoder(init).requires_grad_(True)
    if decoder_only:
        model.encoder.requires_grad_(False)
    trainer = Trainer(model, options, work / "autoencoder.ckpt", device)
    pool = np.load(work / "pool_images.npy", mmap_mode="r")
    held_out = held_out_pictures(Glyphs.load(work / "glyphs.npz"))[0].to(device)
    for due in trainer.steps():
        if due:
            _save_autoencoder(work, trainer, held_out)
        index = (trainer.rand(options.batch) * len(pool)).long().sort().values
        image = to_model_range(pool[index.numpy()]).to(device)
        with trainer.mixed_precision():
            noise = trainer.randn(options.batch, 4, image.shape[2] // 4, image.shape[3] // 4)
            output, mean, log_variance = trainer.module(image, noise)
        error = output.float() - image
        edges = error.diff(dim=3).abs().mean() + error.diff(dim=2).abs().mean()
        kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean()
        trainer.update(error.abs().mean() + 0.5 * edges + 0.5 * error.square().mean() + 2e-4 * kl)


def _save_autoencoder(work: Path, trainer: Trainer, held_out: Tensor) -> None:
    trainer.save()
    (work / "weights").mkdir(exist_ok=True)
    loader.save_autoencoder(work / "weights" / loader.AUTOENCODER_FILE, trainer.average)
    psnr = reconstruction_psnr(trainer.average, held_out)
    log.info("step %d  held-out PSNR mean %.2f worst %.2f dB", trainer.progress.step, psnr.mean(), psnr.min())


# ------------------------------------------------------------------------------------------------------------ denoiser


def encode_pool(work: Path, autoencoder: Autoencoder, device: torch.device) -> Tensor:
    """Latents of the pool, half precision ``[N, 4, 16, 16]``, kept in ``latents.pt`` for the next start."""
    path = work / "latents.pt"
    if path.is_file():
        return torch.load(path, weights_only=True)
    pool = np.load(work / "pool_images.npy", mmap_mode="r")
    parts = []
    with torch.no_grad(), autocast(device.type, torch.bfloat16):
        for start in range(0, len(pool), 64):
            parts.append(autoencoder.encode(to_model_range(pool[start : start + 64]).to(device)).half().cpu())
    latents = torch.cat(parts)
    torch.save(latents, path)
    log.info("encoded %d pictures", len(latents))
    return latents


def train_denoiser(work: Path, options: TrainOptions, init: Path | None, device: torch.device) -> None:
    """EDM denoising loss with the autoencoder frozen, log-normal sigma stratified over the batch, class dropout.

    With ``init`` the autoencoder, the latent statistics and the denoiser come from there; without it the autoencoder
    comes from ``--work/weights`` and the statistics from the pool.
    """
    prior = loader.load_emoji_prior(init) if init is not None else None
    autoencoder = prior.autoencoder if prior else loader.load_autoencoder(work / "weights")
    latents = encode_pool(work, autoencoder.to(device), device)
    if prior is not None:
        mean, std = prior.mean, prior.std
    else:
        raw = latents.float()
        mean, std = (s.reshape(1, -1, 1, 1) for s in (raw.mean((0, 2, 3)), raw.std((0, 2, 3))))
    labels = torch.from_numpy(np.load(work / "pool_labels.npy")).long()
    denoiser = prior.denoiser.requires_grad_(True).train() if prior is not None else Denoiser()
    trainer = Trainer(denoiser, options, work / "denoiser.ckpt", device)
    (work / "weights").mkdir(exist_ok=True)
    loader.save_autoencoder(work / "weights" / loader.AUTOENCODER_FILE, autoencoder)
    pictures, classes, _ = held_out_pictures(Glyphs.load(work / "glyphs.npz"))
    with torch.no_grad():
        truth = (autoencoder.encode(pictures.to(device)) - mean.to(device)) / std.to(device)

    one_hot = torch.eye(NULL_INDEX + 1)[:, :NULL_INDEX]  # the null class is the zero vector
    losses: list[Tensor] = []
    for due in trainer.steps():
        if due:
            trainer.save()
            loader.save_denoiser(work / "weights" / loader.DENOISER_FILE, trainer.average, mean, std)
            trained = torch.stack(losses).mean().item() if losses else math.nan
            bands = denoising_loss(trainer.average, truth, one_hot[classes])
            log.info(
                "step %d  %.1f min  lr %.1e  loss %.4f  held-out %s",
                trainer.progress.step,
                trainer.progress.minutes,
                trainer.optimiser.param_groups[0]["lr"],
                trained,
                " ".join(f"{sigma:g}:{value:.4f}" for sigma, value in bands.items()),
            )
            losses.clear()
        n = options.batch
        index = (trainer.rand(n) * len(latents)).long()
        label = torch.where(trainer.rand(n) < options.null_fraction, NULL_INDEX, labels[index])
        z = ((latents[index].float() - mean) / std).to(device)
        uniform = (torch.arange(n) + trainer.rand(n)) / n
        normal = torch.special.ndtri(uniform.clamp(1e-4, 1 - 1e-4))
        sigma = torch.exp(options.log_sigma_mean + options.log_sigma_std * normal).to(device)
        s = sigma.reshape(-1, 1, 1, 1)
        noisy = z + s * trainer.randn(*z.shape)
        with trainer.mixed_precision():
            denoised = trainer.module(noisy, sigma, one_hot[label].to(device))
        loss = ((s**2 + 1) / s**2 * (denoised - z) ** 2).mean()
        trainer.update(loss)
        losses.append(loss.detach())


# ------------------------------------------------------------------------------------------------------------ evaluate


def evaluate(work: Path, weights: Path, device: torch.device) -> None:
    """Held-out figures to ``evaluation.json`` and sheets of samples (guidance 1 and 2) to PNG files."""
    prior = loader.load_emoji_prior(weights, device=device)
    archive = work / "glyphs.npz"
    glyphs = Glyphs.load(archive) if archive.is_file() else render_glyphs()
    pictures, classes, _ = held_out_pictures(glyphs)
    pictures = pictures.to(device)
    psnr = reconstruction_psnr(prior.autoencoder, pictures)
    with torch.no_grad():
        truth = prior.encode(pictures)
    one_hot = torch.eye(len(CLASSES))[classes]
    figures = {
        "glyphs": len(pictures),
        "autoencoder_psnr": {"mean": psnr.mean().item(), "median": psnr.median().item(), "worst": psnr.min().item()},
        "denoising_loss_true_class": denoising_loss(prior.denoiser, truth, one_hot),
        "denoising_loss_null_class": denoising_loss(prior.denoiser, truth, torch.zeros_like(one_hot)),
    }
    work.mkdir(parents=True, exist_ok=True)
    (work / "evaluation.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    for guidance in (1.0, 2.0):
        Image.fromarray(sample_sheet(prior, guidance=guidance)).save(work / f"samples_guidance{guidance:g}.png")
    log.info(json.dumps(figures))


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("data", "autoencoder", "denoiser", "evaluate"))
    parser.add_argument("--work", type=Path, default=Path("output/prior"), help="folder for everything that is made")
    parser.add_argument("--init", type=Path, help="folder of weights to start from (or, for evaluate, to measure)")
    parser.add_argument("--pool", type=int, default=60_000, help="augmented pictures to make (data)")
    parser.add_argument("--workers", type=int, default=2, help="processes that make them (data)")
    parser.add_argument("--decoder-only", action="store_true", help="keep the encoder as it is (autoencoder)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, help="CPU threads of torch")
    for name in ("seed", "steps", "batch"):
        parser.add_argument(f"--{name}", type=int, default=getattr(TrainOptions, name))
    for name in ("minutes", "learning_rate", "ema_decay"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(TrainOptions, name))
    a = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if a.threads:
        torch.set_num_threads(a.threads)
    device = torch.device(a.device)
    options = TrainOptions(a.seed, a.steps, a.minutes, a.batch, a.learning_rate, ema_decay=a.ema_decay)
    if a.command == "data":
        make_data(a.work, a.pool, a.seed, a.workers)
    elif a.command == "autoencoder":
        train_autoencoder(a.work, options, a.init, device, a.decoder_only)
    elif a.command == "denoiser":
        train_denoiser(a.work, options, a.init, device)
    else:
        evaluate(a.work, a.init or a.work / "weights", device)


if __name__ == "__main__":
    main()
