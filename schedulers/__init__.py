"""Schedules: pure functions from a number of steps and a range to a tensor of sigmas that falls from noise to image."""

from .annealing import poly_rho

__all__ = ["poly_rho"]
