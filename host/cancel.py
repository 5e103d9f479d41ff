"""The user's cancel, for work that does not pass through the host's sampling loop."""

from __future__ import annotations

from ..diffusion.observer import Observer

__all__ = ["CancelButton", "raise_if_cancelled"]


def raise_if_cancelled() -> None:
    """Raise the host's ``InterruptProcessingException`` when the user has cancelled the run."""
    import comfy.model_management

    comfy.model_management.throw_exception_if_processing_interrupted()


class CancelButton(Observer):
    """An observer that ends a run when the user has cancelled it."""

    def raise_if_cancelled(self) -> None:
        """See :func:`raise_if_cancelled`."""
        raise_if_cancelled()
