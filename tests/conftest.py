"""What all tests share."""

from __future__ import annotations

from hypothesis import settings

# Examples that are the same in every run, and no deadline: a busy machine is no failure.
settings.register_profile("sk_ulmfit", deadline=None, derandomize=True)
settings.load_profile("sk_ulmfit")
