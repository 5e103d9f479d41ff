"""Measurements in files: any detector's data, and measurements that were saved here."""

from ..recording import ReadOptions
from .containers import EXTENSIONS
from .measurement_file import load_measurement, save_measurement

__all__ = ["EXTENSIONS", "ReadOptions", "load_measurement", "save_measurement"]
