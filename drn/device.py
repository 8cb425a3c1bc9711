"""Choose the device and the dtype to compute with."""

from __future__ import annotations

import torch

from drn.errors import InputError


def choose_device(device: str = "auto") -> torch.device:
    """``auto`` is CUDA, then Apple's MPS, then the CPU.

    Raises:
        InputError: If the device is unknown or absent.
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
    """Names of this CPU's units for bfloat16, as far as torch tells (from 2.11 on); without, float32 is faster."""
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return [name for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16") if capabilities.get(name)]


def choose_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """``auto`` is half precision where the device has units for it, else float32.

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
    """Whether torch or numpy failed because a device's memory, or the machine's, is full."""
    said = ("out of memory", "can't allocate memory")  # CUDA's and MPS's words; the CPU's
    full = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return full or (isinstance(error, RuntimeError) and any(words in str(error) for words in said))
