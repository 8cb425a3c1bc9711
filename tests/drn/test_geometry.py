"""The 8 orientations of an image."""

from __future__ import annotations

import numpy as np
import torch

from drn.geometry import ORIENTATIONS


def test_orientations_mirror_then_turn_and_can_be_undone() -> None:
    x = torch.rand(2, 3, 4, 6)
    planes = x.permute(2, 3, 0, 1).numpy()
    seen = set()
    for orientation in ORIENTATIONS:
        expected = np.rot90(planes[:, ::-1] if orientation.flip else planes, orientation.turns)
        np.testing.assert_array_equal(orientation.of(x).permute(2, 3, 0, 1).numpy(), expected)
        assert torch.equal(orientation.undo(orientation.of(x)), x)
        seen.add(expected.tobytes())
    assert len(seen) == 8
    assert torch.equal(ORIENTATIONS[0].of(x), x)
