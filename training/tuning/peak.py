"""The most memory that this process took since a moment: of the GPU where there is one, else of the machine."""

from contextlib import suppress
from pathlib import Path

from openoutcry.training.tuning.arguments import on_gpu

_RESET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def begin() -> None:
    """Count from here."""
    if on_gpu():
        import torch

        torch.cuda.reset_peak_memory_stats()
    else:
        with suppress(OSError):
            _RESET.write_text("5")  # sets the highest resident size back to the present one


def taken() -> int:
    """Bytes at the peak since `begin`; 0 where the system does not say."""
    if on_gpu():
        import torch

        return int(torch.cuda.max_memory_allocated())
    with suppress(OSError):
        for line in _STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
