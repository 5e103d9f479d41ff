"""What the LatentDAPS node hands on as its run."""

from __future__ import annotations

from ..instruments.record import RunRecord
from .folders import check_prefix, next_run_file

__all__ = ["RunHandle"]


class RunHandle:
    """The record of the latest sampling that used a sampler; None before there was one.

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

    def start(self) -> RunRecord:
        """A fresh record; it writes its own metrics.json, in a new folder, when there is a filename prefix."""
        path = next_run_file(self.filename_prefix) if self.filename_prefix.strip() else None
        self.record = RunRecord(path=path)
        return self.record
