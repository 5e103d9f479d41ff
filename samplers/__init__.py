"""Samplers: k-diffusion functions ``(model, x, sigmas, extra_args=None, callback=None, disable=None, ...)``."""
