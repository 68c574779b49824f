"""What a process does that was forked from one in which torch has computed.

OpenMP's threads do not follow into a fork: with more than one, torch would wait there for ever. So
such a process computes with one thread.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_FORKED_AND_NOT_EXECUTED = 0x40  # PF_FORKNOEXEC of Linux, among the flags of a process


def watch_forks() -> None:
    """Compute with one thread in forks of this process, and in this one if it is such a fork."""
    if not hasattr(os, "register_at_fork"):
        return  # no forks here
    os.register_at_fork(after_in_child=_compute_with_one_thread)
    if "torch" in sys.modules and _may_have_been_forked_with_torch():
        _compute_with_one_thread()


def _compute_with_one_thread() -> None:
    torch = sys.modules.get("torch")
    # (None in a fork that happens while another thread imports torch)
    if (set_num_threads := getattr(torch, "set_num_threads", None)) is not None:
        set_num_threads(1)


def _may_have_been_forked_with_torch() -> bool:
    """Whether torch may be from before a fork: of Linux's own books, as torch keeps none."""
    own, parent = Path("/proc/self/stat"), Path(f"/proc/{os.getppid()}/maps")
    try:
        flags = int(own.read_text().rpartition(")")[2].split()[6])
    except OSError:
        return False
    if not flags & _FORKED_AND_NOT_EXECUTED:
        return False
    try:
        return "libtorch" in parent.read_text()
    except OSError:
        return True  # the parent has ended, or is another user's
