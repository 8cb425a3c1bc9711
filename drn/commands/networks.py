"""The networks of ``drn upscale``, and the choice between them for each image."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from drn.metadata import read_jpeg_quality
from drn.model import DRN
from drn.upscaler import Upscaler
from drn.variants import Variant, VariantChoice, choose_variant, explain_choice
from drn.weights import Weights


@dataclass(frozen=True)
class Network:
    """A network that is ready to run.

    Attributes:
        upscaler: The network on its device.
        variant: The variant of its weights.
        sha256: The digest of its weights.
    """

    upscaler: Upscaler
    variant: Variant = "clean"
    sha256: str = ""


class Networks:
    """The networks of one command; each is loaded when an image first needs it.

    Args:
        load: Loads the weights of a variant, or the clean weights if there are none of this variant.
        prepare: Makes the upscaler of a network.
        choice: Which network enlarges an image.

    Raises:
        InputError: If the weights for most images cannot be used.
    """

    def __init__(
        self, load: Callable[[Variant], Weights], prepare: Callable[[DRN], Upscaler], choice: VariantChoice
    ) -> None:
        self._load, self._prepare, self._choice = load, prepare, choice
        self._loaded: dict[Variant, Network] = {}
        self._network(
            "clean" if choice == "auto" else choice
        )  # unusable weights end the command before the first image

    def for_image(self, data: bytes) -> tuple[Network, str]:
        """Return the network for an image, and the reason if it was chosen for this image.

        Args:
            data: The content of the image file.

        Returns:
            The network, and a sentence; the sentence is empty if all images have the same network.

        Raises:
            InputError: If the weights cannot be used.
        """
        if self._choice != "auto":
            return self._network(self._choice), ""
        quality = _jpeg_quality(data)
        network = self._network(choose_variant(quality))
        return network, explain_choice(quality, network.variant)

    def _network(self, variant: Variant) -> Network:
        if variant not in self._loaded:
            part = self._load(variant)
            if part.variant != variant and part.variant in self._loaded:
                self._loaded[variant] = self._loaded[part.variant]
            else:
                self._loaded[variant] = Network(self._prepare(part.model), part.variant, part.sha256)
        return self._loaded[variant]


def _jpeg_quality(data: bytes) -> int | None:
    """Return the quality of a JPEG from its header; None for another or damaged file."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            return read_jpeg_quality(image)
    except Exception:  # the message about a damaged file comes from the function that decodes it
        return None
