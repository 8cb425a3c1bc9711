"""The networks that the page runs: bundled at once, the Hub's as soon as they have arrived."""

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

Engine = Callable[[int], Upscaler]
"""Scale -> the network to run now."""


@dataclass(frozen=True)
class _Loaded:
    """One set of weights, ready to run.

    Attributes:
        upscalers: By scale.
        key: Tells this set from another.
        line: Source, digests and arithmetic, for the header.
        note: What became of the Hub's weights, or which bundled file is damaged, for the header; empty if all is well.
    """

    upscalers: dict[int, Upscaler]
    key: str
    line: str
    note: str = ""


def _place(parts: list[Weights]) -> _Loaded:
    make = ZeroGpuUpscaler if IS_ZERO_GPU else Upscaler
    upscalers = {part.model.scale: make(part.model) for part in parts}
    digests = ", ".join(f"x{part.model.scale} {part.sha256[:7]}" for part in parts)
    first = next(iter(upscalers.values()))
    arithmetic = f"{first.device.type} {str(first.dtype).removeprefix('torch.')}"
    key = " ".join(part.sha256 for part in parts)
    return _Loaded(upscalers, key, f"weights: {parts[0].source} ({digests}) · {arithmetic}")


def _load_bundled() -> _Loaded:
    """The bundled scales that can be used, and a note on those that cannot.

    Raises:
        InputError: If none can.
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


class Engines:
    """An ``Engine`` that starts with the bundled weights and takes those of ``DRN_HUB_REPO`` when they come.

    A set is swapped as a whole: a request keeps the network it began with, the next one gets the new.

    Raises:
        InputError: If no bundled weights can be used.
    """

    def __init__(self) -> None:
        self._loaded = self._bundled = _load_bundled()
        self._settled = threading.Event()
        self._ask()

    def __call__(self, scale: int) -> Upscaler:
        return self._loaded.upscalers[scale]

    @property
    def scales(self) -> list[int]:
        return list(self._loaded.upscalers)

    @property
    def key(self) -> str:
        """Tells the weights in use from others."""
        return self._loaded.key

    @property
    def header(self) -> str:
        """HTML that says which weights are in use, and why if others were asked for."""
        loaded = self._loaded
        note = f'<span class="note" data-testid="hub">{escape(loaded.note)}</span>' if loaded.note else ""
        return f'<span class="weights" data-testid="weights">{escape(loaded.line)}</span>{note}'

    async def settled(self) -> None:
        """Wait until the Hub has delivered or failed; it holds no thread, however many visitors wait."""
        while not self._settled.is_set():
            await asyncio.sleep(0.1)

    def _ask(self) -> None:
        if not hub.requested():
            self._settled.set()
            return
        try:
            repo = HubRepo.parse(hub.requested())
        except InputError as error:
            self._keep_bundled(error)
            return
        self._loaded = self._noted(f"fetching {repo}")
        # Nothing to wait for if it is cached; and ZeroGPU takes only what is placed before the page is served.
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
        except Exception:  # such as a device without room for a second set
            logger.exception("The weights of %s could not be placed.", repo)
            self._keep_bundled(f"those of {repo} could not be placed, the log says why.")

    def _keep_bundled(self, error: InputError | str) -> None:
        self._loaded = self._noted(f"Using the bundled weights: {error}")
        self._settled.set()

    def _noted(self, sentence: str) -> _Loaded:
        """The bundled weights; what is wrong with them stays said."""
        return replace(self._bundled, note=f"{self._bundled.note} {sentence}".strip())
