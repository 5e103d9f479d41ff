"""Instruments: what is measured of a run, its record on disk, and the tables and plots made of it."""
