"""Schedules: pure functions from a number of steps and a range to a tensor of sigmas that falls from noise to image.

``catalogue.py`` lists those that a KSampler can offer for any model.
"""

from .angle import uniform_angle
from .annealing import Annealing, poly_rho
from .catalogue import CATALOGUE, RANGE, ScheduleEntry, entry
from .equal_error import equal_error
from .half_log_snr import uniform_half_log_snr
from .linear_quadratic import linear_quadratic
from .placing import ModelLevels
from .search import SearchLevels
from .slicing import ksampler_sigmas
from .trailing import trailing

__all__ = [
    "CATALOGUE",
    "RANGE",
    "Annealing",
    "ModelLevels",
    "ScheduleEntry",
    "SearchLevels",
    "entry",
    "equal_error",
    "ksampler_sigmas",
    "linear_quadratic",
    "poly_rho",
    "trailing",
    "uniform_angle",
    "uniform_half_log_snr",
]
