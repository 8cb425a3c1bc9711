from __future__ import annotations

import hashlib
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from safetensors.torch import save_file

from drn import weights
from drn.errors import InputError
from drn.model import SCALES, count_parameters
from drn.upscaler import Upscaler
from tests.helpers.models import rewritten, small_model


def test_saved_files_are_readable_for_other_users(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    weights.save(tmp_path / "a.safetensors", small_model(2))
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_file_that_cannot_be_read_gets_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights.save(tmp_path / "a.safetensors", small_model(2))
    reason = PermissionError(13, "Permission denied")
    monkeypatch.setattr(Path, "read_bytes", Mock(side_effect=reason))
    with pytest.raises(InputError, match=r"a\.safetensors cannot be read: Permission denied"):
        weights.load(tmp_path / "a.safetensors")


def test_round_trip_gives_the_same_network(tmp_path: Path) -> None:
    model, path = small_model(3), tmp_path / "drn_x3.safetensors"
    weights.save(path, model, {"hours": "0.5"})
    loaded = weights.load(path, scale=3)
    lr = torch.rand(1, 3, 8, 9)
    assert torch.equal(loaded.model(lr), model(lr))
    assert loaded.model.config == model.config
    assert loaded.notes == {"hours": "0.5"}
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not loaded.model.training
    assert list(tmp_path.iterdir()) == [path]


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Limit the files that this process writes to ``size`` bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)  # before pytest writes its own files


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "drn_x2.safetensors"
    weights.save(path, small_model(2))
    before = path.read_bytes()
    with pytest.raises(OSError, match=r"cannot be written: .*large"), files_up_to(10_000):
        weights.save(path, small_model(2), {"hours": "1"})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def foreign(path: Path) -> None:
    save_file({"layer.weight": torch.zeros(3)}, path)


def pickled(path: Path) -> None:
    torch.save({"head.weight": torch.zeros(3)}, path)


def truncated(path: Path) -> None:
    weights.save(path, small_model(2))
    path.write_bytes(path.read_bytes()[:-1000])


def other_scale(path: Path) -> None:
    weights.save(path, small_model(3))


def not_finite(path: Path) -> None:
    model = small_model(2)
    torch.nn.init.constant_(model.head.weight, float("nan"))
    weights.save(path, model)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: None, "There is no weights file"),
        (lambda path: path.write_bytes(b""), "not a complete safetensors file"),
        (lambda path: path.write_text("not weights at all"), "not a complete safetensors file"),
        (pickled, r"is a pickle\. Pickles can run code"),
        (truncated, "not a complete safetensors file"),
        (foreign, "is not a DRN weights file"),
        (other_scale, "is for x3, not for x2"),
        (lambda path: rewritten(path, n_feats=24), "tensors that do not fit its config"),
        (lambda path: rewritten(path, n_feats=256, n_blocks=16, n_groups=16), "more than 50,000,000 parameters"),
        (lambda path: rewritten(path, n_feats=-1), "cannot be used: DRN config: n_feats"),
        (lambda path: rewritten(path, colour="red"), "cannot be used: DRN config: unknown field 'colour'"),
        (lambda path: rewritten(path, activation=["relu"]), "cannot be used: DRN config: activation"),
        (lambda path: save_file({}, path, metadata={"config": "[" * 100_000}), "cannot be used"),
        (not_finite, "not finite"),
    ],
)
def test_bad_files_get_one_sentence(tmp_path: Path, make: Callable[[Path], object], sentence: str) -> None:
    path = tmp_path / "drn_x2.safetensors"
    make(path)
    with pytest.raises(InputError, match=sentence) as caught:
        weights.load(path, scale=2)
    assert "\n" not in str(caught.value)


def test_find_names_the_scales_of_the_folder(tmp_path: Path) -> None:
    weights.save(tmp_path / weights.filename(2), small_model(2))
    assert weights.find(2, tmp_path) == tmp_path / "drn_x2.safetensors"
    assert weights.find(4, tmp_path / "drn_x2.safetensors").name == "drn_x2.safetensors"
    with pytest.raises(InputError, match=r"no weights for x4 .*available: x2"):
        weights.find(4, tmp_path)
    with pytest.raises(InputError, match="no weights file or folder"):
        weights.find(4, tmp_path / "nowhere")


@pytest.mark.parametrize("scale", SCALES)
def test_bundled_weights_are_there_and_within_the_budget(scale: int) -> None:
    loaded = weights.load(weights.find(scale), scale)
    assert loaded.source == "bundled"
    assert count_parameters(loaded.model) <= 1_000_000


def test_a_file_must_have_the_listed_sha256(tmp_path: Path) -> None:
    path = tmp_path / "drn_x2.safetensors"
    weights.save(path, small_model(2))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / "SHA256SUMS").write_text(f"{digest}  {path.name}\n")
    assert weights.load(path).sha256 == digest
    weights.save(path, small_model(2), {"hours": "other"})
    with pytest.raises(InputError, match=r"drn_x2\.safetensors is not the file that SHA256SUMS beside it lists"):
        weights.load(path)


def test_every_bundled_file_is_listed() -> None:
    listed = [line.split("  ")[1] for line in (weights.BUNDLED / "SHA256SUMS").read_text().splitlines()]
    assert listed == sorted(path.name for path in weights.BUNDLED.glob("*.safetensors"))
    expected = [weights.filename(scale) for scale in weights.available_scales()]
    assert sorted(listed) == sorted(expected + [path.name for path in weights.photo_files()])


@pytest.fixture
def two_variants(tmp_path: Path) -> Path:
    """A folder with clean weights for x2 and x3, and with photo weights for x2."""
    for scale in (2, 3):
        weights.save(tmp_path / weights.filename(scale), small_model(scale))
    weights.save(tmp_path / weights.filename(2, "photo"), small_model(2, n_feats=24), {"degradation": "photo"})
    return tmp_path


def test_a_variant_has_its_own_files(two_variants: Path) -> None:
    assert [path.name for path in weights.photo_files(two_variants)] == ["drn_x2_photo.safetensors"]
    assert weights.available_scales(two_variants) == [2, 3]
    messages: list[str] = []
    (clean,) = weights.load_scales(two_variants, [2], messages.append)
    (photo,) = weights.load_scales(two_variants, [2], messages.append, "photo")
    assert (clean.variant, clean.model.config.n_feats) == ("clean", 16)
    assert (photo.variant, photo.model.config.n_feats) == ("photo", 24)
    assert weights.load_model(two_variants, scale=2, variant="photo").config.n_feats == 24
    assert Upscaler.load(two_variants, scale=2, variant="photo").config.n_feats == 24
    assert messages == []


def test_a_missing_variant_gets_the_clean_weights_and_one_sentence(two_variants: Path) -> None:
    messages: list[str] = []
    both = weights.load_scales(two_variants, None, messages.append, "photo")
    assert [(part.path.name, part.variant) for part in both] == [
        ("drn_x2_photo.safetensors", "photo"),
        ("drn_x3.safetensors", "clean"),
    ]
    assert messages == [f"No photo weights for x3 were found in {two_variants}: using the clean weights."]
    with pytest.warns(UserWarning, match="No photo weights for x3 were found"):
        assert weights.load_model(two_variants, scale=3, variant="photo").scale == 3
    with pytest.raises(InputError, match="no weights for x4"):
        weights.load_scales(two_variants, [4], messages.append, "photo")
    with pytest.raises(InputError, match=r"no weights of the variant '\.\./x': choose clean or photo"):
        weights.load_scales(two_variants, [2], messages.append, "../x")  # type: ignore[arg-type]


def test_without_bundled_photo_weights_the_bundled_clean_weights_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights.save(tmp_path / weights.filename(4), small_model(4))
    digest = hashlib.sha256((tmp_path / weights.filename(4)).read_bytes()).hexdigest()
    (tmp_path / weights.SUMS).write_text(f"{digest}  drn_x4.safetensors\n")
    monkeypatch.setattr(weights, "BUNDLED", tmp_path)
    monkeypatch.delenv("DRN_HUB_REPO", raising=False)
    messages: list[str] = []
    (part,) = weights.load_scales(None, [4], messages.append, "photo")
    assert (part.sha256, part.variant) == (digest, "clean")
    assert messages == ["No photo weights for x4 were found in the bundled folder: using the clean weights."]


def test_photo_weights_must_have_the_listed_sha256(two_variants: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = weights.find(2, two_variants, "photo")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (two_variants / weights.SUMS).write_text(f"{digest}  {path.name}\n")
    assert weights.load(path, 2).sha256 == digest
    weights.save(path, small_model(2))
    with pytest.raises(InputError, match=r"drn_x2_photo\.safetensors is not the file that SHA256SUMS"):
        weights.load_scales(two_variants, [2], variant="photo")
    (two_variants / weights.SUMS).write_text("")
    monkeypatch.setattr(weights, "BUNDLED", two_variants)
    with pytest.raises(InputError, match=r"drn_x2_photo\.safetensors is not the file that SHA256SUMS"):
        weights.load_scales(two_variants, [2], variant="photo")


def test_the_weights_of_a_run_for_photographs_know_their_variant(tmp_path: Path) -> None:
    path = tmp_path / weights.filename(2)
    weights.save(path, small_model(2), {"degradation": "photo"})
    messages: list[str] = []
    for place in (tmp_path, path):
        (part,) = weights.load_scales(place, [2], messages.append, "photo")
        assert part.variant == "photo"
    assert messages == []
