"""A run, seen while it goes on: what the record holds, sent to the editor that queued the prompt.

Every message carries the whole picture, not the news: an editor that was reloaded in the middle knows everything after
the next message, and one that is lost does no harm. ``web/live.js`` draws it on the node whose run it is (LatentDAPS,
Phase Retrieval Sampler). Who is chosen blind is the record's to say, in ``final``, when the run has ended; until then,
and of a run that was cut off, ``web/live/message.js`` chooses by what is known, from a message as from a record.
"""

from __future__ import annotations

import base64
import io
import math
import time
from collections.abc import Sequence
from typing import Any

import torch

from ..diffusion.observer import Observer
from ..instruments.metrics_file import plain
from ..instruments.record import RunRecord
from .folders import output_name
from .prompts import running_prompt, server

__all__ = ["EVENT", "LiveView"]

EVENT = "sampler_lab.run"
#: What the view needs of a step, and what it needs where it is there.
OF_EVERY_STEP = ("step", "sigma", "phase", "particles", "residual", "pairwise_distance")
OF_SOME_STEPS = ("repulsion", "pruning", "polish", "off_decoder", "choice")
SECONDS_BETWEEN = 1.0
THUMBNAIL_SIDE = 96


class LiveView(Observer):
    """Sends one run to one node of the editor: :meth:`images` at every step, :meth:`close` at the end.

    Without a node, or without a server that has a client, nothing is sent and nothing is computed. A message is sent
    at most once a second, when a phase begins for the first time, and with the first images of a phase.
    """

    def __init__(self, node_id: str | None, record: RunRecord, interval: float = SECONDS_BETWEEN) -> None:
        """``node_id``: of the node that samples; ``record``: what is shown, as it will be in metrics.json."""
        self._node_id, self._record, self._interval = node_id, record, interval
        self._server = _listened_server() if node_id is not None else None
        self._prompt = running_prompt() if self._server is not None else {}
        self._sent_at, self._phase = -math.inf, None
        self._planned: list[str] = []
        self._entered: set[str] = set()
        self._thumbnails: dict[str, str] = {}
        self._images: tuple[list[int], torch.Tensor] | None = None

    def plan(self, phases: Sequence[str]) -> None:
        """The phases that will come."""
        self._planned = list(phases)

    def enter(self, phase: str) -> None:
        """A phase begins; the record has been told before."""
        if self._server is not None and phase not in self._entered:
            self._entered.add(phase)
            self._send()

    def images(self, particles: Sequence[int], images: torch.Tensor) -> None:
        """The particles as they are now: their names, and images ``[N, 3, H, W]`` in [-1, 1]."""
        if self._server is None:
            return
        self._images = (list(particles), images)
        phase, now = self._record.current_phase, time.monotonic()
        if phase != self._phase or now - self._sent_at >= self._interval:
            self._phase, self._sent_at = phase, now
            self._send()

    def close(self) -> None:
        """The run is over, in whatever way: the last message, which the browser keeps."""
        if self._server is not None:
            self._send()

    def _send(self) -> None:
        if self._images is not None:
            names, images = self._images
            self._thumbnails |= {
                str(name): _thumbnail(image) for name, image in zip(names, _small(images), strict=True)
            }
            self._images = None
        self._server.send_sync(EVENT, self._message(), self._server.client_id)

    def _message(self) -> dict[str, Any]:
        facts = self._record.to_dict()
        rows = [
            {key: row.get(key) for key in OF_EVERY_STEP} | {key: row[key] for key in OF_SOME_STEPS if row.get(key)}
            for row in facts["steps"]
        ]
        return plain(
            {
                **self._prompt,
                "node": self._node_id,
                "status": facts["status"],
                "phase": self._record.current_phase,
                "planned": self._planned,
                "entered": [phase["name"] for phase in facts["phases"]],
                "steps": max(0, len(facts["sigmas"]) - 1),
                "count": facts["particles"],
                "noise_floor": facts["measurement"]["noise_floor"],
                "final": facts["final"],
                "rows": rows,
                "seconds": facts["wall_seconds"],
                "thumbnails": self._thumbnails,
                "created": facts["created"],
                "file": None if self._record.path is None else output_name(self._record.path),
            }
        )


def _listened_server() -> Any:
    """The running host's server when somebody listens, or None."""
    host = server()
    return host if host is not None and host.client_id is not None else None


def _small(images: torch.Tensor) -> torch.Tensor:
    """At most THUMBNAIL_SIDE pixels each way, never enlarged: bytes ``[N, H, W, 3]``."""
    images = images.detach().float().nan_to_num(0.0).clamp(-1, 1)
    largest = max(images.shape[-2:])
    if largest > THUMBNAIL_SIDE:
        images = torch.nn.functional.interpolate(images, scale_factor=THUMBNAIL_SIDE / largest, mode="area")
    return ((images + 1) * 127.5).round().to(torch.uint8).movedim(1, -1).cpu()


def _thumbnail(image: torch.Tensor) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image.numpy()).save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
