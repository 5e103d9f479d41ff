"""Plots, each a function from numbers to a picture."""
