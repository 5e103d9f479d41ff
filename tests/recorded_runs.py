"""Runs on disk whose every number is known, written by the real record."""

from __future__ import annotations

import json
from pathlib import Path

from sampler_lab.posterior.record import RunRecord

__all__ = ["particle", "write_experiment", "write_run"]

FLOOR = 100.0


def particle(name: int, raw: float, aligned: float, symmetry: str = "identity", success: bool = True) -> dict:
    """A row of a quality table."""
    return {
        "particle": name,
        "finite": True,
        "raw": {"psnr": raw, "ssim": 0.5, "lpips": None},
        "aligned": {"psnr": aligned, "ssim": 0.9, "lpips": None},
        "symmetry": symmetry,
        "residual": 110.0,
        "residual_ratio": 1.1,
        "success": success,
        "success_25": aligned > 25,
    }


def write_run(
    folder: Path, particles: list[dict], blind: int = 0, pruned: bool = False, status: str = "finished"
) -> Path:
    """metrics.json of a run of four particles and three steps; 2 are left when it was ``pruned``."""
    record = RunRecord(folder / "metrics.json")
    names = [row["particle"] for row in particles]
    record.begin(
        {}, seed=42, sigmas=[10.0, 1.0, 0.1, 0.0], particles=4, measurement={"noise_floor": FLOOR, "values": 50}
    )
    with record.phase("explore"):
        record.count(denoiser=8, decoder_forward=40, decoder_backward=36)
        record.step(0, 10.0, particles=[0, 1, 2, 3], residual=[400.0, 300.0, 200.0, None], pairwise_distance=2.0)
        record.step(1, 1.0, particles=[0, 1, 2, 3], residual=[200.0] * 4, pairwise_distance=1.0)
        if pruned:
            record.step(
                1, 1.0, pruning={"kept": names, "dropped": [{"particle": 3, "reason": "not finite"}], "new": []}
            )
    with record.phase("refine" if pruned else "explore"):
        record.count(denoiser=2, decoder_forward=10, decoder_backward=9)
        record.step(2, 0.1, particles=names, residual=[110.0] * len(names), pairwise_distance=0.5)
        if pruned:
            polish = {"particles": names, "iterations": [4, 0], "accepted": [True, False]}
            record.step(2, 0.1, polish=polish)
    if particles:
        scores = [row["aligned"]["psnr"] for row in particles]
        raws = [row["raw"]["psnr"] for row in particles]
        record.quality(
            {
                "oracle": scores.index(max(scores)),
                "oracle_raw": raws.index(max(raws)),
                "blind": blind,
                "flat_psnr": 13.0,
                "noise_floor": FLOOR,
                "particles": particles,
            },
            image="reference",
        )
    if status != "running":
        record.finish(status)
    return folder / "metrics.json"


def write_experiment(results: Path, name: str, images: dict[str, list[dict]], **run: object) -> Path:
    """An experiment's folder with one run an image."""
    home = results / name
    home.mkdir(parents=True)
    about = {"schema": "sampler-lab/experiment/1", "name": name, "question": f"{name}?", "options": {}}
    (home / "experiment.json").write_text(json.dumps({**about, "images": list(images)}))
    for image, particles in images.items():
        write_run(home / image, particles, **run)
    return home
