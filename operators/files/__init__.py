"""Measurements in files: any detector's data, and measurements that were saved here."""

from .measurement_file import EXTENSIONS, ReadOptions, load_measurement, save_measurement

__all__ = ["EXTENSIONS", "ReadOptions", "load_measurement", "save_measurement"]
