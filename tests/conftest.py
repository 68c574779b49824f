"""What all tests share."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

# One thread for each process, the workers' too: small networks are faster so, and sums come out
# the same to the last bit only if the same number of threads computes them. It has to be set
# before anything imports torch.
os.environ["OMP_NUM_THREADS"] = "1"

# Processes in the background of a shell ignore Ctrl-C, which some tests send.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Examples that are the same in every run, and no deadline: a busy machine is no failure.
settings.register_profile("sk_ulmfit", deadline=None, derandomize=True)
settings.load_profile("sk_ulmfit")
