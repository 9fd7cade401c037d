"""Hypothesis for pure functions: the same examples every time, no deadline on a busy machine."""

from hypothesis import settings

settings.register_profile("pure", deadline=None, derandomize=True)
settings.load_profile("pure")
