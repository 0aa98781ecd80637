"""Where runs are trained and scored. Light: no torch until a device is asked for."""

from typing import Literal

from pydantic import NonNegativeInt, PositiveInt

from dehazelib.experiments.options import Options


class Hardware(Options):
    """Where a run trains and is scored. In one process nothing here changes its result beyond floating-point order.

    Several processes take equal parts of every batch. Losses that are means over the batch, and the affinity module's,
    have the gradient of the whole batch; but batch norm sees each process's part alone, dropout draws the same in all,
    and a network's own objective (loss: objective) may be no mean: such runs repeat for their number of processes only.
    """

    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: PositiveInt = 1  # processes per node
    num_nodes: PositiveInt = 1
    workers: NonNegativeInt = 0  # data loading processes per training process, unless the scenes are on the device
    resident: bool = True  # hold decoded scenes on the device and make batches there, where they fit
    autotune: bool = True  # on a GPU, time layouts, compilation and kernels before the first run of a kind

    @property
    def processes(self) -> int:
        return self.devices * self.num_nodes

    @property
    def device(self):
        """Where a network is scored, a torch.device; auto: a CUDA GPU if there is one, else the CPU.

        Raises ValueError for one that is asked for and absent.
        """
        import torch

        available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        if self.accelerator == "auto":
            return torch.device("cuda" if available["cuda"] else "cpu")
        if not available[self.accelerator]:
            raise ValueError(f"accelerator is {self.accelerator}, which this torch cannot use here: "
                             "choose cpu or auto.")
        return torch.device(self.accelerator)
