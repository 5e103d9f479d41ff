"""What a node that samples a posterior hands on as its run."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..diffusion.observer import Observer
from ..instruments.record import RunRecord
from .folders import check_prefix, next_run_file

__all__ = ["RunHandle"]


class RunHandle(Observer):
    """The latest sampling that used a sampler: its record and its pictures; None before there was one.

    record: of the run. pictures: what it showed last, images ``[N, 3, H, W]`` in [-1, 1]; after the run, its result.

    Raises:
        ValueError: a filename prefix that leads out of the output folder.
    """

    def __init__(self, filename_prefix: str, node_id: str | None = None) -> None:
        """``node_id``: the node that shows the run while it goes on; None for none."""
        if filename_prefix.strip():
            check_prefix(filename_prefix, "metrics_prefix")
        self.filename_prefix = filename_prefix
        self.node_id = node_id
        self.record: RunRecord | None = None
        self.pictures: torch.Tensor | None = None

    def start(self) -> RunRecord:
        """A fresh record; it writes its own metrics.json, in a new folder, when there is a filename prefix."""
        path = next_run_file(self.filename_prefix) if self.filename_prefix.strip() else None
        self.record, self.pictures = RunRecord(path=path), None
        return self.record

    def images(self, particles: Sequence[int], images: torch.Tensor) -> None:  # noqa: ARG002 - all of them
        """The particles as they are now."""
        self.pictures = images
