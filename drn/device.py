"""Choose the device and the dtype to compute with, and measure the work of a device."""

from __future__ import annotations

import os

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
    """Return the torch dtype for a dtype option.

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


def dtype_name(dtype: torch.dtype) -> str:
    """Return the name of a dtype without its module, such as ``float32``."""
    return str(dtype).removeprefix("torch.")


def lacks_memory(error: BaseException) -> bool:
    """Return whether an error of torch or numpy means that the memory of the device or the machine is full."""
    messages = ("out of memory", "can't allocate memory")  # CUDA and MPS use the first one, the CPU the second one
    full = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return full or (isinstance(error, RuntimeError) and any(text in str(error) for text in messages))


def wait_for(device: torch.device) -> None:
    """Wait until the device has finished all work; the CPU has, because it works synchronously."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def reset_peak_memory(device: torch.device) -> None:
    """Start a new measurement of ``peak_memory``."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int | None:
    """Return the most bytes that tensors occupied since ``reset_peak_memory``; None on other devices than CUDA."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def describe_device(device: torch.device) -> str:
    """Return the name of the device, and the facts about it that decide the speed."""
    if device.type == "cuda":
        tf32 = "on" if torch.backends.cudnn.allow_tf32 else "off"
        return f"{torch.cuda.get_device_name(device)}, TF32 in convolutions {tf32}"
    units = f"{os.cpu_count()} CPUs ({', '.join(cpu_bf16_units()) or 'no bf16 units'})"
    return f"{torch.get_num_threads()} threads, {units}" if device.type == "cpu" else str(device)
