"""Posterior sampling: the parts that samplers of inverse problems are made of."""
