"""Moves: what happens to the particles between the data step and the next noise level, when it is due."""
