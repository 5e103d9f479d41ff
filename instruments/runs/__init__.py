"""Runs that lie on disk: found, read, told apart, compared and tabulated."""
