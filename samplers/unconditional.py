"""The unconditional prediction u, which CFG++ (arXiv 2406.08070) needs beside the guided one.

ComfyUI hands both to every *post-CFG function*, a hook in ``extra_args["model_options"]``. This adds one to a copy of
the caller's options; the caller's own hooks run before it, and nothing of the caller's is changed. A model outside
ComfyUI that wants CFG++ accepts ``model_options`` and calls the hooks the same way::

    def model(x, sigma, model_options, **extra_args):
        ...
        for hook in model_options.get("sampler_post_cfg_function", []):
            denoised = hook({"denoised": denoised, "uncond_denoised": u, "uncond": negative, ...})
        return denoised
"""

from __future__ import annotations

import logging
from typing import Any

import torch

__all__ = ["UnconditionalPrediction"]

HOOKS = "sampler_post_cfg_function"


class UnconditionalPrediction:
    """Records u of the model calls made with ``self.extra_args``."""

    def __init__(self, extra_args: dict[str, Any]) -> None:
        options = dict(extra_args.get("model_options") or {})
        options[HOOKS] = [*options.get(HOOKS, ()), self._record]
        # At CFG 1 the host would not compute u at all.
        options["disable_cfg1_optimization"] = True
        self.extra_args = {**extra_args, "model_options": options}
        self._recorded: torch.Tensor | None = None
        self._warned = False

    def _record(self, args: dict[str, Any]) -> torch.Tensor:
        # Without negative conditioning (BasicGuider) the host passes zeros, which are no prediction.
        negative = args.get("uncond")
        absent = negative is None or (isinstance(negative, (list, tuple)) and not negative)
        self._recorded = None if absent else args["uncond_denoised"]
        return args["denoised"]

    def take(self, denoised: torch.Tensor) -> torch.Tensor:
        """u of the latest model call, whose answer was ``denoised``.

        When there was none it is ``denoised`` itself, with which CFG++ is the plain sampler; one warning says so.
        """
        u, self._recorded = self._recorded, None
        if u is None:
            if not self._warned:
                logging.warning("CFG++ needs negative conditioning and got none: sampling goes on without CFG++.")
                self._warned = True
            return denoised
        return u
