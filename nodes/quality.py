"""The node of quality: particles against the truth."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io, ui

from ..diffusion.fingerprint import tensor_sha256
from ..host.folders import model_folders, next_run_file, output_file, output_name
from ..host.notices import notify_once
from ..host.versions import host_versions
from ..instruments.record import RunRecord
from ..metrics import load_lpips, quality_table
from ..metrics.blind_choice import blind_choice
from ..operators import Measurement
from .types import MEASUREMENT, RUN


class SamplerLabCompareToReference(io.ComfyNode):
    """IMAGE, IMAGE, STRING: aligned particles, the blind choice, the quality table."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SamplerLabCompareToReference",
            display_name="Compare To Reference",
            category="sampler lab/measurement",
            description="Scores every particle against the true image: as it is, and after the best transform that "
            "the measurement cannot see (its twin rotated by 180°, a shift). Shows the table and writes it to "
            "metrics.json.",
            search_aliases=["PSNR", "SSIM", "LPIPS", "metrics", "quality", "align", "best of N", "evaluate"],
            is_output_node=True,
            hidden=[io.Hidden.extra_pnginfo],
            inputs=[
                io.Image.Input(
                    "particles",
                    tooltip="The reconstructions, one per particle: the candidates, or the decoded latent batch.",
                ),
                io.Image.Input(
                    "reference", tooltip="The true image, the one that was measured: a single image of the same size."
                ),
                MEASUREMENT.Input(
                    "measurement",
                    tooltip="The measurement that the particles explain. It gives the residuals, and says which "
                    "transforms leave it unchanged.",
                ),
                RUN.Input(
                    "run",
                    optional=True,
                    tooltip="From Phase Retrieval Sampler or LatentDAPS Sampler: the blind choice is then the run's, "
                    "and the table is added to its metrics.json. Without it, or when that run writes none, a "
                    "metrics.json of its own is written.",
                ),
                io.String.Input(
                    "filename_prefix",
                    default="sampler_lab/quality",
                    optional=True,
                    advanced=True,
                    tooltip="Where in the output folder the table goes when no run is connected: sampler_lab/quality "
                    "gives sampler_lab/quality_00001/metrics.json. Empty: nothing is written.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "aligned",
                    tooltip="Every particle after its best transform, ready to be laid beside the reference.",
                ),
                io.Image.Output(
                    "blind_choice",
                    tooltip="The particle that the run chose without the truth, as it is; without a run, the one with "
                    "the smallest residual.",
                ),
                io.String.Output("report", tooltip="The table, in Markdown."),
            ],
        )

    @classmethod
    def execute(
        cls,
        particles: torch.Tensor,
        reference: torch.Tensor,
        measurement: Measurement,
        run: Any = None,
        filename_prefix: str = "sampler_lab/quality",
    ) -> io.NodeOutput:
        truth = _model_range(reference, "reference").to(particles.device)
        record = None if run is None else run.record
        names = None if record is None else record.survivors
        final = None if record is None else record.final_residual
        table = quality_table(
            _model_range(particles, "particles"),
            truth,
            measurement.to(particles.device),
            lpips=load_lpips(model_folders("lpips"), say=notify_once),
            choose=blind_choice,
            names=names if names is not None and len(names) == len(particles) else None,
            recorded=None if final is None else list(final.values()),
            chosen=None if record is None or names is None or record.chosen is None else names.index(record.chosen),
        )
        facts = {**table.to_dict(), "reference_sha256": tensor_sha256(truth)}
        about = _experiment(cls.hidden.extra_pnginfo)
        if record is not None:
            record.note(**about)
            record.quality(facts, image="reference")
        if record is None or record.path is None:
            record = _record_of_its_own(filename_prefix, measurement, len(particles), str(particles.device))
            record.note(**about)
            record.quality(facts, image="reference")
        report = table.to_markdown()
        written = "" if record.path is None else f"\n\nWritten to output/{output_name(record.path)}."
        aligned = table.aligned_images.movedim(1, -1).nan_to_num(0.0)
        chosen = particles[table.blind : table.blind + 1]
        shown = ui.PreviewText(report + written).as_dict()
        if record.path is not None:
            shown["metrics"] = [output_file(record.path)]  # for programs that queued the prompt from elsewhere
        return io.NodeOutput(aligned, chosen, report, ui=shown)


def _model_range(image: torch.Tensor, name: str) -> torch.Tensor:
    """ComfyUI's IMAGE ``[N, H, W, C]`` in [0, 1] to the pack's ``[N, 3, H, W]`` in [-1, 1]."""
    if image.shape[-1] != 3:
        raise ValueError(
            f"{name} has {image.shape[-1]} channels; connect an RGB image (Split Image with Alpha removes the fourth)."
        )
    return image.float().movedim(-1, 1) * 2 - 1


def _experiment(extra: Any) -> dict[str, str]:
    """The names that ``lab.py experiment`` sends with a prompt; none for any other prompt."""
    about = extra.get("sampler_lab") if isinstance(extra, dict) else None
    names = about if isinstance(about, dict) else {}
    return {key: names[key] for key in ("experiment", "picture") if isinstance(names.get(key), str)}


def _record_of_its_own(filename_prefix: str, measurement: Measurement, particles: int, device: str) -> RunRecord:
    """A record without a run; it is not written when there is no prefix."""
    record = RunRecord(next_run_file(filename_prefix) if filename_prefix.strip() else None)
    record.begin(
        options={},
        seed=None,
        sigmas=[],
        particles=particles,
        measurement=measurement.describe(),
        versions=host_versions(),
        device=device,
    )
    record.finish()
    return record


NODES = [SamplerLabCompareToReference]
