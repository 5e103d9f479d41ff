"""Data steps: from the clean estimate of a noise level to a latent that explains the measurement."""
