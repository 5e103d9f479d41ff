"""Guiders: subclasses of the host's ``CFGGuider`` that correct, or only watch, what the model predicts."""
