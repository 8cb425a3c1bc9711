"""The weights that the page serves: first the bundled weights, and the Hub's weights as soon as they have arrived."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from html import escape

from app.zerogpu import IS_ZERO_GPU, ZeroGpuUpscaler
from drn import hub, weights
from drn.errors import InputError
from drn.hub import HubRepo
from drn.model import SCALES
from drn.upscaler import Upscaler
from drn.weights import Weights

logger = logging.getLogger(__name__)

UpscalerFor = Callable[[int], Upscaler]
"""A function from a scale to the upscaler that serves this scale at present."""


@dataclass(frozen=True)
class _Loaded:
    """One set of weights on its device.

    Attributes:
        upscalers: The networks by scale.
        key: Identifies the set.
        description: Source, digests, device and dtype, for the header.
        note: For the header: the reason why the Hub's weights or a bundled file are not used; empty without a reason.
    """

    upscalers: dict[int, Upscaler]
    key: str
    description: str
    note: str = ""


def _place(parts: list[Weights]) -> _Loaded:
    """Place the networks of one source on the device."""
    make = ZeroGpuUpscaler if IS_ZERO_GPU else Upscaler
    upscalers = {part.model.scale: make(part.model) for part in parts}
    digests = ", ".join(f"x{part.model.scale} {part.sha256[:7]}" for part in parts)
    first = next(iter(upscalers.values()))
    arithmetic = f"{first.device.type} {str(first.dtype).removeprefix('torch.')}"
    key = " ".join(part.sha256 for part in parts)
    return _Loaded(upscalers, key, f"weights: {parts[0].source} ({digests}) · {arithmetic}")


def _load_bundled() -> _Loaded:
    """Load the bundled weights; the note names the files that cannot be used.

    Raises:
        InputError: If no file can be used.
    """
    parts, failures = [], []
    for scale in weights.available_scales() or SCALES:
        try:
            parts += weights.load_scales(weights.BUNDLED, [scale])
        except InputError as error:
            failures.append(error)
    if not parts:
        raise failures[0]
    return replace(_place(parts), note=" ".join(map(str, failures)))


class ServedWeights:
    """Serves the bundled weights, and the weights of ``DRN_HUB_REPO`` as soon as they have arrived.

    A set of weights is replaced as a whole. A request that has begun continues with its own network.

    Args:
        place: A weights file, a folder or a Hub repo, used instead of the bundled weights. It is loaded at once.

    Raises:
        InputError: If the weights cannot be used. Of the bundled weights, one usable scale is enough.
    """

    def __init__(self, place: str | None = None) -> None:
        if place is not None:
            self._loaded = self._bundled = _place(weights.load_scales(place))
            self._settled = threading.Event()
            self._settled.set()
            return
        self._loaded = self._bundled = _load_bundled()
        self._settled = threading.Event()
        self._request_hub()

    def upscaler_for(self, scale: int) -> Upscaler:
        """Return the upscaler that serves ``scale`` at present."""
        return self._loaded.upscalers[scale]

    @property
    def scales(self) -> list[int]:
        """The scales that can be served."""
        return list(self._loaded.upscalers)

    @property
    def key(self) -> str:
        """Identifies the weights in use."""
        return self._loaded.key

    @property
    def header(self) -> str:
        """HTML that names the weights in use and, if other weights were requested, gives the reason."""
        loaded = self._loaded
        note = f'<span class="note" data-testid="hub">{escape(loaded.note)}</span>' if loaded.note else ""
        return f'<span class="weights" data-testid="weights">{escape(loaded.description)}</span>{note}'

    async def settled(self) -> None:
        """Wait until the Hub's weights have arrived or failed; visitors who wait do not occupy threads."""
        while not self._settled.is_set():
            await asyncio.sleep(0.1)

    def _request_hub(self) -> None:
        if not hub.requested():
            self._settled.set()
            return
        try:
            repo = HubRepo.parse(hub.requested())
        except InputError as error:
            self._keep_bundled(error)
            return
        self._loaded = self._bundled_with_note(f"fetching {repo}")
        # Wait here for cached files, which load fast, and on ZeroGPU, where every network must be on its device before
        # the page is served.
        is_cached = repo.is_pinned and hub.cached(repo, [weights.filename(scale) for scale in self.scales])
        if is_cached or IS_ZERO_GPU:
            self._fetch(repo)
        else:
            threading.Thread(target=self._fetch, args=(repo,), daemon=True).start()

    def _fetch(self, repo: HubRepo) -> None:
        try:
            self._loaded = replace(_place(weights.load_hub(repo, self.scales)), note=self._bundled.note)
            self._settled.set()
        except InputError as error:
            self._keep_bundled(error)
        except Exception:  # for example, the device has no memory for a second set
            logger.exception("The weights of %s could not be placed.", repo)
            self._keep_bundled(f"the weights of {repo} could not be loaded onto the device; the log has the reason.")

    def _keep_bundled(self, reason: InputError | str) -> None:
        self._loaded = self._bundled_with_note(f"Using the bundled weights: {reason}")
        self._settled.set()

    def _bundled_with_note(self, sentence: str) -> _Loaded:
        """Return the bundled set with ``sentence`` added to its own note."""
        return replace(self._bundled, note=f"{self._bundled.note} {sentence}".strip())
