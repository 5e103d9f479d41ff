"""The record of a run: what was asked, what it cost, what it did at every step, and how good the result is.

A sampler fills it in; it holds nothing that a sampler reads, so a run with a record is the run without one. With a
``path`` it is written to disk while the run goes on, at most once a second and at the end of every phase, so that a run
that is killed leaves a valid file with ``status`` "running".
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from ..diffusion.observer import Observer
from ..metrics.blind_choice import blind_choice
from .calls import Calls
from .memory import PeakMemory
from .metrics_file import SCHEMA, STATUSES, hash_sigmas, load_metrics, plain, write_json

__all__ = ["SCHEMA", "RunRecord", "load_metrics"]

log = logging.getLogger(__name__)


@dataclass
class _Phase:
    name: str
    wall_seconds: float = 0.0
    peak_memory_bytes: int | None = None
    memory_kind: str | None = None
    calls: Calls = field(default_factory=Calls)


class RunRecord(Observer):
    """One run: ``begin``, then ``phase``, ``count`` and ``step`` as it goes, then ``finish``; ``quality`` at any time.

    Args:
        path: where to write it; None keeps it in memory.
        flush_interval: shortest time between two writes while the run goes on, in seconds.
    """

    listens = True

    def __init__(self, path: str | os.PathLike[str] | None = None, flush_interval: float = 1.0) -> None:
        self.path = None if path is None else Path(path)
        self.flush_interval = flush_interval
        self.status = "running"
        self._created = _now()
        self._clock = time.monotonic()
        self._wall_seconds: float | None = None
        self._facts: dict[str, Any] = {
            "versions": _versions({}),
            "device": None,
            "model": None,
            "experiment": None,
            "picture": None,
            "seed": None,
            "particles": None,
            "sigmas": None,
            "sigmas_sha256": None,
            "options": {},
            "measurement": {},
        }
        self._calls = Calls()
        self._phases: list[_Phase] = []
        self._open: tuple[_Phase, PeakMemory, float] | None = None
        self._part: tuple[str, float] | None = None
        self._parts: dict[str, dict[str, Any]] = {}
        self._steps: list[dict[str, Any]] = []
        self._step_rows: dict[tuple[str | None, int], dict[str, Any]] = {}
        self._final: dict[str, Any] | None = None
        self._chosen: int | None = None
        self._quality: list[dict[str, Any]] = []
        self._flushed_at = -float("inf")
        self._warned = False

    def begin(
        self,
        options: Mapping[str, Any],
        seed: int | None,
        sigmas: Iterable[float],
        particles: int | None = None,
        measurement: Mapping[str, Any] | None = None,
        versions: Mapping[str, str] | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        """State what is run, and start the clock.

        Args:
            options: every option of the method.
            seed: the graph's seed.
            sigmas: the levels, a list or a one-dimensional tensor; empty for a run without any.
            particles: rows of the latent batch.
            measurement: number of valid values m, noise floor, the operator's settings, the data's sha256; see
                ``Measurement.describe``.
            versions: ``comfyui``, ``torch`` and whatever else the host knows; ``pack`` and ``torch`` are added.
            device: where the sampling runs; decides how memory is measured.
        """
        levels = [float(sigma) for sigma in sigmas]
        self._facts |= plain(
            {
                "versions": _versions(versions or {}),
                "device": str(device),
                "seed": seed,
                "particles": particles,
                "sigmas": levels,
                "sigmas_sha256": hash_sigmas(levels),
                "options": dict(options),
                "measurement": dict(measurement or {}),
            }
        )
        self.status = "running"
        self._clock = time.monotonic()
        self._flush(now=True)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time, memory and calls inside this context belong to the phase ``name``; entering it again adds to it."""
        if self._open is not None:
            raise RuntimeError(f"phase {name!r} begins inside phase {self._open[0].name!r}; phases do not nest.")
        try:
            self.enter(name)
            yield
        finally:
            self.leave()

    def enter(self, name: str) -> None:
        """From now on time, memory and calls belong to the phase ``name``, until the next one or :meth:`leave`."""
        if self._open is not None and self._open[0].name == name:
            return
        self.leave()
        phase = next((phase for phase in self._phases if phase.name == name), None)
        if phase is None:
            phase = _Phase(name)
            self._phases.append(phase)
        memory = PeakMemory(self._facts["device"] or "cpu")
        memory.__enter__()
        self._open = (phase, memory, time.monotonic())

    @property
    def current_phase(self) -> str | None:
        """The open phase."""
        return None if self._open is None else self._open[0].name

    @property
    def survivors(self) -> list[int] | None:
        """Names of the particles that the last step left, in the order of the batch; None when none were noted."""
        if self._final is not None:
            return list(self._final["particles"])
        if not self._steps:
            return None
        last = self._steps[-1]
        return last.get("pruning", {}).get("kept") or last.get("particles")

    def leave(self) -> None:
        """The open phase, if there is one, is over."""
        if self._open is None:
            return
        phase, memory, _ = self._open
        memory.__exit__()
        now = self._up_to_now(phase)
        phase.wall_seconds, phase.peak_memory_bytes = now.wall_seconds, now.peak_memory_bytes
        phase.memory_kind = now.memory_kind
        self._open = None
        self._flush(now=True)

    def part(self, name: str) -> None:
        """From now on time belongs to this part of the method; how often each worked is counted, too.

        On a GPU work is only queued by then, so a part may be charged for what the one before it left to do.
        """
        self._close_part()
        self._parts.setdefault(name, {"seconds": 0.0, "times": 0})["times"] += 1
        self._part = name, time.monotonic()

    def _close_part(self) -> None:
        if self._part is not None:
            name, since = self._part
            self._parts[name]["seconds"] += time.monotonic() - since
        self._part = None

    def count(self, denoiser: int = 0, decoder_forward: int = 0, decoder_backward: int = 0, encoder: int = 0) -> None:
        """Add passes through the networks, counted per particle."""
        self._calls.count(denoiser, decoder_forward, decoder_backward, encoder)
        if self._open is not None:
            self._open[0].calls.count(denoiser, decoder_forward, decoder_backward, encoder)
        self._flush()

    def step(self, i: int, sigma: float | None, phase: str | None = None, **values: Any) -> None:
        """Note step ``i`` at level ``sigma``; calling it again for the same step of the same phase adds to its row.

        ``phase``: the one that is open if None. ``values`` are what the sampler knows then, numbers or one number per
        particle: ``particles`` (which are left), ``residual``, ``pairwise_distance``, ``repulsion`` (its strength),
        ``repulsion_norm``, ``pruning`` (who was dropped, and why), ``polish`` ...
        """
        if phase is None and self._open is not None:
            phase = self._open[0].name
        row = self._step_rows.get((phase, i))
        if row is None:
            row = self._step_rows[phase, i] = {"step": int(i), "phase": phase}
            self._steps.append(row)
        row["sigma"] = plain(None if sigma is None else float(sigma))
        row.update(plain(values))
        self._flush()

    def note(self, **facts: Any) -> None:
        """Add what is known from outside: the names of model, experiment and picture, or facts of a host."""
        self._facts.update(plain(facts))
        self._flush(now=True)

    def final(self, particles: Iterable[int], residual: torch.Tensor, blind: int | None = None) -> None:
        """Note the residuals ``[N]`` of what the run returned, and who is chosen by them if the run chose nobody."""
        names, self._chosen = list(particles), blind
        if blind is None and bool(residual.isfinite().any()):
            blind = names[blind_choice(residual)]
        self._final = plain({"particles": names, "residual": residual, "blind": blind})
        self._flush(now=True)

    @property
    def final_residual(self) -> dict[int, float] | None:
        """By the particles' names, in the order of the batch; NaN where it is not finite; None before :meth:`final`."""
        if self._final is None:
            return None
        pairs = zip(self._final["particles"], self._final["residual"], strict=True)
        return {name: float("nan") if value is None else value for name, value in pairs}

    @property
    def chosen(self) -> int | None:
        """The name of the particle that the run itself chose; None before :meth:`final`, and where residuals choose."""
        return self._chosen

    def quality(self, table: Mapping[str, Any], image: str = "image") -> None:
        """Attach the quality table of one image; a second table for the same image replaces the first."""
        self._quality = [row for row in self._quality if row["image"] != image]
        self._quality.append({"image": image, **plain(table)})
        self._flush(now=True)

    def finish(self, status: str = "finished") -> None:
        """The run is over: "finished", "cancelled" or "failed"."""
        if status not in STATUSES or status == "running":
            raise ValueError(f"status is {status!r}; a run ends as one of {', '.join(STATUSES[1:])}.")
        self.leave()
        self._close_part()
        self.status = status
        self._wall_seconds = time.monotonic() - self._clock
        self._flush(now=True)

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values, of schema ``SCHEMA``; a phase that still runs is given its time so far."""
        wall = time.monotonic() - self._clock if self._wall_seconds is None else self._wall_seconds
        return {
            "schema": SCHEMA,
            "status": self.status,
            "created": self._created,
            "updated": _now(),
            **plain(self._facts),
            "wall_seconds": wall,
            "calls": asdict(self._calls),
            "phases": [asdict(self._up_to_now(phase)) for phase in self._phases],
            "parts": plain(self._parts),
            "steps": plain(self._steps),
            "final": plain(self._final),
            "quality": plain(self._quality),
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to ``path``, whole or not at all. Raises ``OSError`` when the folder or disk does not allow it."""
        write_json(path, self.to_dict())

    def _up_to_now(self, phase: _Phase) -> _Phase:
        if self._open is None or self._open[0] is not phase:
            return phase
        _, memory, since = self._open
        peaks = [peak for peak in (phase.peak_memory_bytes, memory.so_far()) if peak is not None]
        wall_seconds = phase.wall_seconds + time.monotonic() - since
        return _Phase(phase.name, wall_seconds, max(peaks, default=None), memory.kind, phase.calls)

    def _flush(self, now: bool = False) -> None:
        """Write to ``path`` when it is time. A disk that is full must not end a run of an hour: it is logged once."""
        if self.path is None or (not now and time.monotonic() - self._flushed_at < self.flush_interval):
            return
        self._flushed_at = time.monotonic()
        try:
            self.save(self.path)
        except OSError as error:
            if not self._warned:
                log.warning(
                    "Sampler Lab: the run goes on, but its record cannot be written to %s: %s", self.path, error
                )
            self._warned = True


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _versions(host: Mapping[str, str]) -> dict[str, str]:
    return {"pack": _pack_version(), "torch": torch.__version__, **host}


def _pack_version() -> str:
    """From the pack's own pyproject.toml (cloned or installed by a manager), else from pip's metadata."""
    try:
        text = (Path(__file__).resolve().parent.parent / "pyproject.toml").read_text(encoding="utf-8")
    except OSError:
        text = ""
    found = re.search(r'^version\s*=\s*"([^"]+)"', text, re.MULTILINE)
    if found:
        return found.group(1)
    try:
        return metadata.version("sampler-lab")
    except metadata.PackageNotFoundError:
        return "unknown"
