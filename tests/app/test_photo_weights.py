"""The page with photo weights for x2 only: the choice of the weights for an uploaded image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from app.engines import ServedWeights
from app.options import PageOptions
from drn import weights
from drn.image import Array
from drn.reading import read_image
from drn.upscaler import Upscaler
from drn.weights import Weights
from tests.helpers.hub_server import wait_until
from tests.helpers.late_hub import late_hub
from tests.helpers.models import folder_with_photo_weights, small_model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page_options(photo_place: Path) -> PageOptions:
    return PageOptions(weights=str(photo_place))


def enlarged_by(photo_place: Path, name: str, file: Path) -> Array:
    return Upscaler(weights.load(photo_place / name).model).upscale(read_image(file).rgb)


@pytest.mark.parametrize(
    ("name", "chosen", "used"),
    [
        ("q75.jpg", (), "drn_x2_photo.safetensors"),
        ("q75.jpg", ("auto",), "drn_x2_photo.safetensors"),
        ("q98.jpg", ("auto",), "drn_x2.safetensors"),
        ("a.png", (), "drn_x2.safetensors"),
        ("q75.jpg", ("clean",), "drn_x2.safetensors"),
        ("a.png", ("photo",), "drn_x2_photo.safetensors"),
    ],
)
def test_the_endpoint_uses_the_weights_for_the_file_unless_others_are_given(
    client: Client, photo_place: Path, photo: Array, tmp_path: Path, name: str, chosen: tuple[str, ...], used: str
) -> None:
    Image.fromarray(photo).save(tmp_path / name, quality=int(name[1:3]) if name.startswith("q") else -1)
    result = client.predict(handle_file(str(tmp_path / name)), "2", False, *chosen, api_name="/upscale")
    assert np.array_equal(read_image(Path(result)).rgb, enlarged_by(photo_place, used, tmp_path / name))


def test_the_endpoint_refuses_photo_weights_that_do_not_exist(
    client: Client, photo_place: Path, photo: Array, tmp_path: Path
) -> None:
    Image.fromarray(photo).save(tmp_path / "a.jpg", quality=75)
    given = handle_file(str(tmp_path / "a.jpg"))
    with pytest.raises(AppError, match=r"There are no photo weights for x3: give auto or clean\."):
        client.predict(given, "3", False, "photo", api_name="/upscale")
    result = client.predict(given, "3", api_name="/upscale")
    assert np.array_equal(
        read_image(Path(result)).rgb, enlarged_by(photo_place, "drn_x3.safetensors", tmp_path / "a.jpg")
    )


def test_each_choice_has_a_reason(photo_place: Path) -> None:
    served = ServedWeights(str(photo_place))
    reasons = {
        (2, "auto", 80): ("photo", "JPEG, quality about 80: photo weights."),
        (2, "auto", None): ("clean", "Not a JPEG: clean weights."),
        (2, "clean", 80): ("clean", "Clean weights, as chosen."),
        (2, "photo", None): ("photo", "Photo weights, as chosen."),
        (3, "auto", 80): ("clean", "JPEG, quality about 80: clean weights, because there are no photo weights."),
        (3, "photo", 80): ("clean", "There are no photo weights for x3: the clean weights were used."),
    }
    for (scale, choice, quality), expected in reasons.items():
        chosen = served.choose(scale, choice, quality)  # type: ignore[arg-type]
        assert (chosen.variant, chosen.reason) == expected
        assert chosen.upscaler.scale == scale
    assert served.may_have_photo


def test_the_header_lists_the_photo_weights(photo_place: Path) -> None:
    digest = weights.load(photo_place / "drn_x2_photo.safetensors").sha256[:7]
    assert f", x2 photo {digest})" in ServedWeights(str(photo_place)).header


def test_a_network_is_placed_when_an_image_first_needs_it(photo_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    placed: list[int] = []

    def place_one(model: object) -> Upscaler:
        placed.append(model.config.n_feats)  # type: ignore[attr-defined]
        return Upscaler(model)  # type: ignore[arg-type]

    monkeypatch.setattr("app.engines.Upscaler", place_one)
    served = ServedWeights(str(photo_place))
    assert placed == [16, 16]
    served.choose(2, "auto", None)
    assert placed == [16, 16]
    first, second = served.choose(2, "auto", 50), served.choose(2, "photo", 50)
    assert placed == [16, 16, 24]
    assert first.upscaler is second.upscaler


@pytest.mark.parametrize("name", ["drn_x2.safetensors", "drn_x2_photo.safetensors"])
def test_a_single_file_leaves_no_choice(photo_place: Path, name: str) -> None:
    served = ServedWeights(str(photo_place / name))
    assert not served.may_have_photo
    assert served.choose(2, "auto", 50).reason == ""


def test_damaged_photo_weights_of_the_bundled_folder_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_with_photo_weights(tmp_path / "weights")
    sums = [f"{weights.load(file).sha256}  {file.name}\n" for file in folder.iterdir()]
    (folder / "SHA256SUMS").write_text("".join(sums))
    monkeypatch.setattr(weights, "BUNDLED", folder)
    monkeypatch.delenv("DRN_HUB_REPO", raising=False)
    assert ServedWeights().choose(2, "auto", 50).variant == "photo"
    (folder / "drn_x2_photo.safetensors").write_bytes(b"damaged")
    served = ServedWeights()
    assert "drn_x2_photo.safetensors is not the file that SHA256SUMS beside it lists" in served.header
    chosen = served.choose(2, "auto", 50)
    assert (chosen.variant, chosen.reason) == ("clean", "")


def test_the_photo_weights_of_the_hub_arrive_with_the_clean_ones(
    photo_place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for scale in (2, 3, 4):
        weights.save(tmp_path / weights.filename(scale), small_model(scale))
    photo = [weights.load(photo_place / "drn_x2_photo.safetensors")]
    clean = weights.load_scales(tmp_path)

    def load_hub(repo: object, scales: object, variant: str = "clean", *_: object) -> list[Weights]:
        return photo + clean[1:] if variant == "photo" else clean

    with late_hub(monkeypatch, clean):
        monkeypatch.setattr("drn.weights.load_hub", load_hub)
        served = ServedWeights()
        wait_until(lambda: f"x2 photo {photo[0].sha256[:7]}" in served.header)
    assert served.choose(2, "auto", 50).variant == "photo"
    assert served.choose(3, "auto", 50).variant == "clean"
