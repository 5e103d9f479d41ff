"""Peak memory of one stretch of a run.

On CUDA the allocator counts it exactly. Elsewhere it is the resident memory of the whole process, sampled fifty
times a second by a thread, because an operating system only keeps the peak since the process began, which says nothing
about the phase that comes after the largest one. C's allocator keeps what was freed, too, so it is asked to give that
back first, where it can be asked (glibc).
"""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Callable
from pathlib import Path

import torch

__all__ = ["PeakMemory", "resident_bytes"]

SECONDS_BETWEEN_SAMPLES = 0.02  # one takes 25 µs, so watching takes 0.1 % of one core
_STATM = Path("/proc/self/statm")


class PeakMemory:
    """Context; afterwards ``bytes`` is the peak inside it, or None where nothing can be measured.

    ``kind`` says what was measured: ``cuda_allocated`` (the allocator's peak statistic of this device is reset on
    entering) or ``process_resident``.
    """

    def __init__(self, device: str | torch.device = "cpu") -> None:
        self._device = torch.device(device)
        self.kind = "cuda_allocated" if self._device.type == "cuda" else "process_resident"
        self.bytes: int | None = None
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> PeakMemory:
        if self.kind == "cuda_allocated":
            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            _malloc_trim()(0)
            self.bytes = resident_bytes()
            if self.bytes is not None:
                self._thread = threading.Thread(target=self._watch, name="sampler-lab-memory", daemon=True)
                self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._thread is not None:
            self._done.set()
            self._thread.join()
            self._sample()
        self.bytes = self.so_far()

    def so_far(self) -> int | None:
        """The peak up to now, for a file that is written while the stretch still runs."""
        return torch.cuda.max_memory_allocated(self._device) if self.kind == "cuda_allocated" else self.bytes

    def _watch(self) -> None:
        while not self._done.wait(SECONDS_BETWEEN_SAMPLES):
            self._sample()

    def _sample(self) -> None:
        self.bytes = max(self.bytes or 0, resident_bytes() or 0)


def resident_bytes() -> int | None:
    """Resident memory of this process now; None where neither Linux's /proc nor psutil (ComfyUI brings it) can say."""
    try:
        import resource

        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    except (ImportError, OSError):
        pass
    try:
        import psutil
    except ImportError:
        return None
    return psutil.Process().memory_info().rss


@functools.cache
def _malloc_trim() -> Callable[[int], object]:
    """glibc's malloc_trim, or something that does nothing."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library; Windows has no library called None
        return lambda _pad: None
