"""The weights that the page serves: first the bundled weights, and the Hub's weights as soon as they have arrived.

The photo weights belong to the weights of the same source.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from html import escape

from app.zerogpu import IS_ZERO_GPU, ZeroGpuUpscaler
from drn import hub, weights
from drn.device import dtype_name
from drn.errors import InputError
from drn.hub import HubRepo
from drn.model import SCALES
from drn.upscaler import Upscaler
from drn.variants import Variant, VariantChoice, choose_variant, explain_choice
from drn.weights import Weights

logger = logging.getLogger(__name__)

UpscalerFor = Callable[[int], Upscaler]
"""A function from a scale to the upscaler with the clean weights that serves this scale at present."""


PhotoFor = Callable[[int], Upscaler | None]
"""A function from a scale to the upscaler with the photo weights, or to None if there are none for this scale."""


@dataclass(frozen=True)
class Chosen:
    """The network that was chosen for an image.

    Attributes:
        upscaler: The network.
        variant: The variant of its weights.
        reason: A sentence about the choice; empty if there are no photo weights and none were requested.
    """

    upscaler: Upscaler
    variant: Variant
    reason: str = ""


class _PhotoNetworks:
    """The photo weights of one source. Each network is placed on the device when an image first needs it.

    On ZeroGPU all networks are placed at once, because this must happen before the page is served.

    Args:
        parts: The weights, at most one for each scale.
    """

    def __init__(self, parts: Sequence[Weights] = ()) -> None:
        self._parts = {part.model.scale: part for part in parts}
        self._placed: dict[int, Upscaler] = {}
        self._lock = threading.Lock()
        if IS_ZERO_GPU:
            for scale in self._parts:
                self.upscaler_for(scale)

    def __bool__(self) -> bool:
        return bool(self._parts)

    @property
    def parts(self) -> list[Weights]:
        """The weights."""
        return list(self._parts.values())

    def upscaler_for(self, scale: int) -> Upscaler | None:
        """Return the upscaler for ``scale``, or None if there are no photo weights for it."""
        with self._lock:
            if scale in self._parts and scale not in self._placed:
                self._placed[scale] = _upscaler(self._parts[scale])
            return self._placed.get(scale)


@dataclass(frozen=True)
class _Loaded:
    """One set of weights on its device.

    Attributes:
        upscalers: The networks by scale.
        key: Identifies the set.
        parts: The clean weights.
        photo: The photo weights.
        note: For the header: the reason why the Hub's weights or a bundled file are not used; empty without a reason.
    """

    upscalers: dict[int, Upscaler]
    key: str
    parts: list[Weights]
    photo: _PhotoNetworks = field(default_factory=_PhotoNetworks)
    note: str = ""

    @property
    def description(self) -> str:
        """Source, digests, device and dtype, for the header."""
        digests = [f"x{part.model.scale} {part.sha256[:7]}" for part in self.parts]
        digests += [f"x{part.model.scale} photo {part.sha256[:7]}" for part in self.photo.parts]
        first = next(iter(self.upscalers.values()))
        arithmetic = f"{first.device.type} {dtype_name(first.dtype)}"
        return f"weights: {self.parts[0].source} ({', '.join(digests)}) · {arithmetic}"


def _upscaler(part: Weights) -> Upscaler:
    """Place a network on the device."""
    return ZeroGpuUpscaler(part.model) if IS_ZERO_GPU else Upscaler(part.model)


def _place(parts: list[Weights], photo: Sequence[Weights] = ()) -> _Loaded:
    """Place the clean networks of one source on the device.

    Args:
        parts: The clean weights.
        photo: The photo weights of the same source.
    """
    upscalers = {part.model.scale: _upscaler(part) for part in parts}
    return _Loaded(upscalers, " ".join(part.sha256 for part in parts), parts, _PhotoNetworks(photo))


def _load_bundled() -> _Loaded:
    """Load the bundled weights; the note names the files that cannot be used.

    Raises:
        InputError: If no file can be used.
    """
    parts, photo, failures = [], [], []
    for scale in weights.available_scales() or SCALES:
        try:
            parts += weights.load_scales(weights.BUNDLED, [scale])
        except InputError as error:
            failures.append(error)
    if not parts:
        raise failures[0]
    for path in weights.photo_files():
        try:
            photo.append(weights.load(path))
        except InputError as error:
            failures.append(error)
    return replace(_place(parts, photo), note=" ".join(map(str, failures)))


def _load_place(place: str) -> _Loaded:
    """Load the weights of a file, a folder or a Hub repo.

    Raises:
        InputError: If the clean weights cannot be used. If only photo weights cannot be used, the note says so.
    """
    parts = weights.load_scales(place)
    clean = {part.sha256 for part in parts}  # a file has the same weights for each variant
    try:
        photo = weights.load_scales(place, [part.model.scale for part in parts], _ignore, "photo")
    except InputError as error:
        return replace(_place(parts), note=str(error))
    return _place(parts, [part for part in photo if part.variant == "photo" and part.sha256 not in clean])


def _ignore(sentence: str) -> None:
    """Ignore the sentence about scales without photo weights; the page says so when an image needs them."""


class ServedWeights:
    """Serves the bundled weights, and the weights of ``DRN_HUB_REPO`` as soon as they have arrived.

    The clean weights of all scales are replaced at once; the Hub's photo weights follow later. A request that has begun
    continues with its own network.

    Args:
        place: A weights file, a folder or a Hub repo, used instead of the bundled weights. It is loaded at once.

    Raises:
        InputError: If the weights cannot be used. Of the bundled weights, one usable scale is enough.
    """

    def __init__(self, place: str | None = None) -> None:
        self._uses_hub = place is None and bool(hub.requested())
        if place is not None:
            self._loaded = self._bundled = _load_place(place)
            self._settled = threading.Event()
            self._settled.set()
            return
        self._loaded = self._bundled = _load_bundled()
        self._settled = threading.Event()
        self._request_hub()

    def upscaler_for(self, scale: int) -> Upscaler:
        """Return the upscaler with the clean weights that serves ``scale`` at present."""
        return self._loaded.upscalers[scale]

    def photo_for(self, scale: int) -> Upscaler | None:
        """Return the upscaler with the photo weights for ``scale``, or None if there are none at present."""
        return self._loaded.photo.upscaler_for(scale)

    def choose(self, scale: int, choice: VariantChoice, jpeg_quality: int | None) -> Chosen:
        """Choose the network for an image. Without photo weights for the scale, it is the clean network.

        Args:
            scale: Upscaling factor.
            choice: The variant that was requested.
            jpeg_quality: ``Metadata.jpeg_quality`` of the image.
        """
        loaded = self._loaded
        wanted = choose_variant(jpeg_quality) if choice == "auto" else choice
        photo = loaded.photo.upscaler_for(scale) if wanted == "photo" else None
        used: Variant = "clean" if photo is None else "photo"
        if choice != "auto":
            lacking = f"There are no photo weights for x{scale}: the clean weights were used."
            reason = f"{used.capitalize()} weights, as chosen." if used == wanted else lacking
        else:
            reason = explain_choice(jpeg_quality, used) if loaded.photo else ""
        return Chosen(photo or loaded.upscalers[scale], used, reason)

    @property
    def may_have_photo(self) -> bool:
        """Whether there are photo weights, or the Hub may still deliver some."""
        return bool(self._loaded.photo) or self._uses_hub

    @property
    def scales(self) -> list[int]:
        """The scales for which there are weights."""
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
        if not self._uses_hub:
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
            return
        except Exception:  # for example, the device has no memory for a second set
            logger.exception("The weights of %s could not be placed.", repo)
            self._keep_bundled(f"the weights of {repo} could not be loaded onto the device; the log has the reason.")
            return
        if IS_ZERO_GPU:
            self._fetch_photo(repo)
        else:
            threading.Thread(target=self._fetch_photo, args=(repo,), daemon=True).start()

    def _fetch_photo(self, repo: HubRepo) -> None:
        """Add the photo weights of the Hub, from the commit of the clean weights; visitors do not wait for them."""
        loaded = self._loaded
        commit = loaded.parts[0].path.parent.name
        try:
            parts = weights.load_hub(replace(repo, revision=commit), self.scales, "photo", _ignore)
            photo = _PhotoNetworks([part for part in parts if part.variant == "photo"])
        except Exception:  # the clean weights serve all images
            logger.exception("The photo weights of %s could not be loaded.", repo)
        else:
            self._loaded = replace(loaded, photo=photo)

    def _keep_bundled(self, reason: InputError | str) -> None:
        self._loaded = self._bundled_with_note(f"Using the bundled weights: {reason}")
        self._settled.set()

    def _bundled_with_note(self, sentence: str) -> _Loaded:
        """Return the bundled set with ``sentence`` added to its own note."""
        return replace(self._bundled, note=f"{self._bundled.note} {sentence}".strip())
