"""MATLAB and HDF5 files are read in a process of its own: a damaged file can crash their libraries, not the host."""

from .parent import MEMORY, READER, SECONDS, ReaderProcess

__all__ = ["MEMORY", "READER", "SECONDS", "ReaderProcess"]
