"""The 8 views of an image."""

from __future__ import annotations

import numpy as np
import torch

from drn.geometry import ORIENTATIONS


def test_they_are_mirrored_then_turned_and_undone() -> None:
    x = torch.rand(2, 3, 4, 6)
    planes = x.permute(2, 3, 0, 1).numpy()
    seen = set()
    for view in ORIENTATIONS:
        expected = np.rot90(planes[:, ::-1] if view.flip else planes, view.turns)
        np.testing.assert_array_equal(view.of(x).permute(2, 3, 0, 1).numpy(), expected)
        assert torch.equal(view.undo(view.of(x)), x)
        seen.add(expected.tobytes())
    assert len(seen) == 8
    assert torch.equal(ORIENTATIONS[0].of(x), x)
