"""Choose the device and the dtype to compute with."""

from __future__ import annotations

import torch

from drn.errors import InputError


def choose_device(device: str = "auto") -> torch.device:
    """Return the device to compute on.

    Args:
        device: A torch device name, or ``auto``: CUDA if there is one, else Apple's MPS, else the CPU.

    Raises:
        InputError: If the device is unknown or not available.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"The device {device!r} is not available here: use auto or cpu.") from error
    return chosen


def cpu_bf16_units() -> list[str]:
    """Return the names of this CPU's bfloat16 units; on a CPU without them float32 is faster.

    torch before 2.11 cannot detect them; the list is then empty.
    """
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return [name for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16") if capabilities.get(name)]


def choose_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """Return the dtype to compute in.

    Args:
        dtype: ``fp32``, ``bf16``, ``fp16``, or ``auto``: half precision if the device has units for it, else float32.
        device: The device to compute on.

    Raises:
        InputError: If the dtype is not one of auto, fp32, bf16, fp16.
    """
    named = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if dtype in named:
        return named[dtype]
    if dtype != "auto":
        raise InputError(f"The dtype {dtype!r} is unknown: use auto, {', '.join(named)}.")
    if device.type == "cuda":
        with torch.cuda.device(device):
            has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if has_bf16 else torch.float16
    return torch.bfloat16 if device.type == "cpu" and cpu_bf16_units() else torch.float32


def lacks_memory(error: BaseException) -> bool:
    """Return whether an error of torch or numpy means that the memory of the device or the machine is full."""
    messages = ("out of memory", "can't allocate memory")  # the messages of CUDA and MPS, and of the CPU
    full = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return full or (isinstance(error, RuntimeError) and any(text in str(error) for text in messages))
