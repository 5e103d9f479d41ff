"""The ground floor: what every layer above speaks of. Coordinates of a noisy latent, noise, options, observers."""
