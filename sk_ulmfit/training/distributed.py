"""Several processes, started by torchrun, that train one language model.

Each process reads its share of every batch's rows; `DistributedDataParallel` averages the
gradients, so that all take the same steps. What is drawn at random is drawn for the whole batch
in every process, from equal generators: the result is that of one process, to rounding.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed


@dataclass(frozen=True)
class Share:
    """One process of several.

    Parameters
    ----------
    index : int
        Number of this process, from 0.
    count : int
        Number of all.
    """

    index: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and shows progress."""
        return self.index == 0

    def rows(self, n_rows: int) -> slice:
        """Rows of a batch of `n_rows` that this process computes."""
        size = n_rows // self.count
        return slice(self.index * size, (self.index + 1) * size)

    def agreed(self, value: Any) -> Any:
        """What the first process has for `value`."""
        if self.count == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values, src=0)
        return values[0]

    def mean(self, value: torch.Tensor) -> torch.Tensor:
        """Mean of `value` over all processes."""
        if self.count == 1:
            return value
        total = value.detach().clone()
        distributed.all_reduce(total)
        return total / self.count

    def joined(self, part: torch.Tensor, dim: int) -> torch.Tensor:
        """Put the parts of all processes together along a dimension."""
        if self.count == 1:
            return part
        parts = [torch.empty_like(part) for _ in range(self.count)]
        distributed.all_gather(parts, part.contiguous())
        return torch.cat(parts, dim)

    @contextlib.contextmanager
    def first_alone(self) -> Iterator[None]:
        """Let the first process do something before the others do the same."""
        if self.count > 1 and not self.is_first:
            distributed.barrier()
        try:
            yield
        finally:
            if self.count > 1 and self.is_first:
                distributed.barrier()


def _backend() -> str:
    """What the processes talk through: on GPUs NCCL, which wants one for each of them."""
    if torch.cuda.device_count() < int(os.environ["LOCAL_WORLD_SIZE"]):
        return "gloo"
    return "cpu:gloo,cuda:nccl"


def _started_by_torchrun() -> bool:
    return distributed.is_available() and distributed.is_torchelastic_launched()


def own_gpu() -> int | None:
    """Find which GPU of this machine is this process's among those that torchrun started."""
    if not (_started_by_torchrun() and torch.cuda.is_available()):
        return None
    return int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count()


def own_share() -> Share:
    """Find this process's place among those that torchrun started; one of one without it."""
    if not (distributed.is_available() and distributed.is_initialized()):
        if not _started_by_torchrun():
            return Share()
        distributed.init_process_group(
            _backend(),
            timeout=datetime.timedelta(days=1),  # the first one may tokenise for hours
        )
        atexit.register(distributed.destroy_process_group)
    return Share(distributed.get_rank(), distributed.get_world_size())
