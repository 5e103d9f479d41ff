"""Estimates of the clean latent at a noise level."""
