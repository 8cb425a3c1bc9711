"""Find, check, load and save weights: one safetensors file for each scale and variant.

The metadata of a file holds the network's config as JSON, so the file can be loaded alone. Pickles are never read.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from drn import hub
from drn.errors import InputError
from drn.files import replace_file
from drn.hub import HubRepo
from drn.model import DRN, SCALES, DRNConfig
from drn.variants import VARIANTS, Variant

_PACKAGED = Path(__file__).resolve().parent / "_weights"
BUNDLED = _PACKAGED if _PACKAGED.is_dir() else _PACKAGED.parent.parent / "weights"
"""The folder of the bundled weights: inside the installed package, or ``weights/`` of a checkout."""

SUMS = "SHA256SUMS"
"""Name of the file that lists the sha256 of the weights in its folder."""

MAX_PARAMETERS = 50_000_000
"""Largest number of parameters of a network that is loaded."""

PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""First bytes of the files of ``torch.save`` and ``pickle.dump``."""


@dataclass(frozen=True)
class Weights:
    """A network with its weights, and information about the file that they come from.

    Attributes:
        model: The network, float32, in eval mode.
        path: The file.
        source: ``bundled``, ``hub owner/name@commit``, or the name of the file.
        sha256: Digest of the file, in hexadecimal.
        notes: Text fields that training stored in the file, such as the number of iterations.
    """

    model: DRN
    path: Path
    source: str
    sha256: str
    notes: dict[str, str]

    @property
    def variant(self) -> Variant:
        """The variant of the network: its name, or the degradation of its training."""
        is_photo = self.path.name == filename(self.model.scale, "photo") or self.notes.get("degradation") == "photo"
        return "photo" if is_photo else "clean"


def filename(scale: int, variant: Variant = "clean") -> str:
    """Return the name of the weights file for ``scale``: ``drn_x4.safetensors``, or ``drn_x4_photo.safetensors``."""
    return f"drn_x{scale}.safetensors" if variant == "clean" else f"drn_x{scale}_{variant}.safetensors"


def available_scales(folder: Path | None = None) -> list[int]:
    """Return the scales that have a weights file in ``folder`` (by default the bundled folder), smallest first."""
    return [scale for scale in range(1, 9) if ((folder or BUNDLED) / filename(scale)).is_file()]


def photo_files(folder: Path | None = None) -> list[Path]:
    """Return the files with photo weights in ``folder`` (by default the bundled folder), by scale."""
    return sorted((folder or BUNDLED).glob("drn_x[1-8]_photo.safetensors"))


def save(path: Path, model: DRN, notes: dict[str, str] | None = None) -> None:
    """Write the weights and config of ``model``, atomically.

    Args:
        path: The file to create or replace.
        model: The network.
        notes: Text fields to store with the weights, such as the number of iterations.

    Raises:
        OSError: If the folder does not exist or the disk is full.
    """
    save_tensors(path, model.state_dict(), {**(notes or {}), "config": json.dumps(model.config.to_dict())})


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file, atomically.

    Raises:
        OSError: If the folder does not exist or the disk is full.
    """
    written = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}

    def write(temporary: Path) -> None:
        try:
            save_file(written, temporary, metadata=metadata)
        except SafetensorError as error:  # safetensors wraps the errors of the operating system
            raise OSError(f"{path} cannot be written: {error}.") from error

    replace_file(path, write)


def load(path: Path, scale: int | None = None) -> Weights:
    """Load one weights file and check it.

    Args:
        path: The file.
        scale: The scale that the file must be for; None accepts any.

    Raises:
        InputError: If the file is missing, unreadable, truncated or a pickle; if its sha256 differs from that in the
            ``SHA256SUMS`` of its folder (which is required for bundled files); if it is not a weights file of DRN, is
            for another scale, is too large, holds values that are not finite, or has tensors that do not fit its
            config.
    """
    if not path.is_file():
        raise InputError(f"There is no weights file {path}.")
    try:
        digest = _check_digest(path)
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    if start.startswith(PICKLE_STARTS):
        raise InputError(f"{path.name} is a pickle. Pickles can run code and are not loaded: use safetensors.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in list(file.keys())}
            config = _read_config(path, metadata, scale)
            with torch.device("meta"):
                model = DRN(config)
            _check_shapes(path, model, shapes)
            # Copies, because the tensors of the file are views of its memory map, which an overwrite changes.
            state = {name: file.get_tensor(name).to(torch.float32, copy=True) for name in shapes}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path.name} is not a complete safetensors file: download it again.") from error
    if not all(bool(torch.isfinite(tensor).all()) for tensor in state.values()):
        raise InputError(f"{path.name} holds values that are not finite: download it again.")
    model.load_state_dict(state, strict=True, assign=True)
    source = "bundled" if path.parent == BUNDLED else str(path)
    notes = {key: value for key, value in metadata.items() if key not in ("config", "format")}
    return Weights(model.eval(), path, source, digest, notes)


def read_sums(folder: Path) -> dict[str, str]:
    """Return the contents of the folder's ``SHA256SUMS``, file name -> sha256; empty if there is no such file."""
    sums = folder / SUMS
    lines = sums.read_text(encoding="utf-8", errors="replace").splitlines() if sums.is_file() else []
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _check_digest(path: Path) -> str:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if read_sums(path.parent).get(path.name, "none" if path.parent == BUNDLED else digest) != digest:
        raise InputError(f"{path.name} is not the file that {SUMS} beside it lists: download it again.")
    return digest


def _read_config(path: Path, metadata: dict[str, str], scale: int | None) -> DRNConfig:
    if "config" not in metadata:
        raise InputError(f"{path.name} is not a DRN weights file, because it has no DRN config: give another file.")
    try:
        config = DRNConfig.from_dict(json.loads(metadata["config"]))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path.name} cannot be used: {error}") from error
    if scale is not None and config.scale != scale:
        raise InputError(f"{path.name} is for x{config.scale}, not for x{scale}: give the file for x{scale}.")
    return config


def _check_shapes(path: Path, model: DRN, shapes: dict[str, tuple[int, ...]]) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if sum(torch.Size(shape).numel() for shape in expected.values()) > MAX_PARAMETERS:
        raise InputError(
            f"{path.name} describes a network of more than {MAX_PARAMETERS:,} parameters, which is the limit."
        )
    wrong = sorted(name for name in expected.keys() | shapes.keys() if expected.get(name) != shapes.get(name))
    if wrong:
        raise InputError(
            f"{path.name} has {len(wrong)} tensors that do not fit its config, such as {wrong[0]!r}: download it again."
        )


def find(scale: int, location: Path | None = None, variant: Variant = "clean") -> Path:
    """Return the path of the weights file for ``scale``.

    Args:
        scale: Upscaling factor.
        location: A weights file, or a folder with one file for each scale; omit it to use the bundled weights.
        variant: The variant. If a folder has only the clean weights for the scale, their path is returned.

    Raises:
        InputError: If there is no such file or folder, or the folder lacks the scale.
    """
    folder = location if location is not None else BUNDLED
    if folder.is_file():
        return folder
    if not folder.is_dir():
        raise InputError(f"There is no weights file or folder {folder}.")
    for name in (filename(scale, variant), filename(scale)):
        if (folder / name).is_file():
            return folder / name
    there = ", ".join(f"x{s}" for s in available_scales(folder)) or "none"
    raise InputError(f"There are no weights for x{scale} in {folder} (available: {there}).")


def load_scales(
    location: str | Path | None = None,
    scales: Sequence[int] | None = None,
    notify: Callable[[str], object] = warnings.warn,
    variant: Variant = "clean",
) -> list[Weights]:
    """Load the weights for several scales from one place.

    Args:
        location: A weights file, a folder, or a Hub repo (``owner/name`` or ``owner/name@revision``). Omit it to use
            the repo in ``DRN_HUB_REPO``, or else the bundled weights.
        scales: The scales to load. Omit it to load every scale of a folder, or all of ``SCALES`` of a Hub repo.
        notify: Called with one sentence when the repo in ``DRN_HUB_REPO`` cannot be used, so that the bundled weights
            are loaded instead, and when scales have no weights of the variant, so that the clean weights are loaded.
        variant: The variant. It has no effect if ``location`` is a file.

    Raises:
        InputError: If the variant is unknown, or if the location does not exist, lacks a scale, or has a file that
            ``load`` refuses.
    """
    if variant not in VARIANTS:
        raise InputError(f"There are no weights of the variant {variant!r}: choose {' or '.join(VARIANTS)}.")
    if location is None and hub.requested():
        try:
            return load_hub(HubRepo.parse(hub.requested()), scales or SCALES, variant, notify)
        except InputError as error:
            notify(f"Using the bundled weights: {error}")
    place = BUNDLED if location is None else Path(location)
    if isinstance(location, str) and not place.exists():
        return load_hub(_parse_repo(location), scales or SCALES, variant, notify)
    if place.is_file() and scales is None:
        return [load(place)]
    scales = scales or available_scales(place) or SCALES[:1]
    parts = [load(find(scale, place, variant), scale) for scale in scales]
    if place.is_dir():
        _notify_of_lacking(parts, variant, "the bundled folder" if place == BUNDLED else str(place), notify)
    return parts


def _parse_repo(location: str) -> HubRepo:
    """Read the name of a Hub repo, of which there is no file or folder."""
    if location.endswith(".safetensors"):  # do not query the Hub for a mistyped path
        raise InputError(f"There is no weights file or folder {location}: check the name.")
    try:
        return HubRepo.parse(location)
    except InputError as error:
        raise InputError(
            f"There is no weights file or folder {location}, and it is not the name of a Hub repo: check the name."
        ) from error


def _notify_of_lacking(parts: Sequence[Weights], variant: Variant, place: str, notify: Callable[[str], object]) -> None:
    """Call ``notify`` with one sentence if some of the weights are clean, although another variant was requested."""
    lacking = ", ".join(f"x{part.model.scale}" for part in parts if part.variant == "clean" != variant)
    if lacking:
        notify(f"No {variant} weights for {lacking} were found in {place}: using the clean weights.")


def load_hub(
    repo: HubRepo,
    scales: Sequence[int],
    variant: Variant = "clean",
    notify: Callable[[str], object] = warnings.warn,
) -> list[Weights]:
    """Download and load the weights of a Hub repo, all from one commit.

    See ``load_scales`` for the arguments.

    Raises:
        InputError: If they do not arrive before the deadline, or if ``load`` refuses one of them.
    """
    fetched = hub.fetch_preferred(repo, {filename(scale, variant): filename(scale) for scale in scales})
    source = f"hub {replace(repo, revision=fetched.folder.name)}"
    try:
        parts = [load(fetched.folder / name, scale) for name, scale in zip(fetched.names, scales, strict=True)]
    except InputError as error:
        raise InputError(f"{repo}: {error}") from error
    if fetched.failure is None:
        _notify_of_lacking(parts, variant, str(repo), notify)
    else:
        notify(f"The {variant} weights could not be fetched, using the clean weights: {fetched.failure}")
    return [replace(part, source=source) for part in parts]


def load_model(location: str | Path | None = None, *, scale: int, variant: Variant = "clean") -> DRN:
    """Load the network for ``scale``.

    Args:
        location: A weights file, a folder or a Hub repo; omit it to use the bundled weights (see ``load_scales``).
        scale: Upscaling factor.
        variant: ``photo`` for weights tuned for JPEG files. If there are none, a warning says so, and the clean weights
            are loaded.

    Returns:
        A module in eval mode, float32: (B, 3, H, W) in [0, 1] -> (B, 3, H*scale, W*scale).

    Raises:
        InputError: If the weights cannot be used.
    """
    return load_scales(location, [scale], variant=variant)[0].model
