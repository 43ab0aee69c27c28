"""One process or many: PyTorch's own DistributedDataParallel, joined when `torchrun` started us."""

import atexit
import os
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from .save import require_device


@dataclass(frozen=True)
class World:
    """This process among its fellows."""

    rank: int
    size: int
    device: torch.device

    @classmethod
    def join(cls, device: str | torch.device | None) -> "World":
        """Join the process group that `torchrun` describes in the environment; alone without it."""
        size = int(os.environ.get("WORLD_SIZE", "1"))
        if size == 1 and not (dist.is_available() and dist.is_initialized()):
            return cls(0, 1, require_device(device))
        if device is None and torch.cuda.is_available():
            device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        where = require_device(device)
        if not dist.is_initialized():
            if where.type == "cuda":
                torch.cuda.set_device(where)
            dist.init_process_group("nccl" if where.type == "cuda" else "gloo")
            atexit.register(dist.destroy_process_group)
        return cls(dist.get_rank(), dist.get_world_size(), where)

    def share(self, rows: int) -> tuple[int, int]:
        """The rows of a global batch that this process computes."""
        return rows * self.rank // self.size, rows * (self.rank + 1) // self.size

    def wrap(self, step: nn.Module, unused: bool) -> nn.Module:
        """Average the gradients of `step` over the processes."""
        if self.size == 1:
            return step
        return DistributedDataParallel(step, find_unused_parameters=unused)

    def mean(self, value: torch.Tensor) -> torch.Tensor:
        """Mean of a tensor over the processes."""
        if self.size > 1:
            dist.all_reduce(value)
            value /= self.size
        return value

    def agree(self, value: float) -> float:
        """The value of the first process, for decisions that depend on a clock or a signal."""
        if self.size == 1:
            return value
        told = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.broadcast(told, 0)
        return float(told)

    def wait(self) -> None:
        """Until every process is here, so that none leaves while another still needs it."""
        if self.size > 1:
            dist.barrier()

    def any(self, flag: bool) -> bool:
        """Whether any process says so."""
        if self.size == 1:
            return flag
        told = torch.tensor(float(flag), device=self.device)
        dist.all_reduce(told, dist.ReduceOp.MAX)
        return bool(told)
