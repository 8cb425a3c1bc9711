"""Find training images that show the same place as a held-out image, even if cropped, rotated or resized.

python -m scripts.overlap photos bsds --held-out Set5 --held-out Set14 --held-out holdout
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from tqdm import tqdm

from drn.errors import InputError
from drn.folders import find_images
from drn.image import to_grey
from drn.reading import read_image

FEATURES = 600
"""Largest number of SIFT points of an image; the strongest points are used."""
RATIO = 0.8
"""A match is valid if its distance is below this share of the second best distance (Lowe 2004, section 7.1)."""
MAX_ERROR = 3.0
"""Largest distance, in pixels, between a matching point and its position under the estimated transform."""


def main(
    training: Annotated[list[Path], typer.Argument(help="Folders of training images.")],
    held_out: Annotated[list[Path], typer.Option(help="Folders of images that must not be among them.")],
    points: Annotated[
        int, typer.Option(help="Number of points that must agree on one shift, rotation and size.", min=3)
    ] = 10,
) -> None:
    """Print each training image that shares enough points with a held-out image; exit code 1 if there is one."""
    try:
        held_out_paths = [path for folder in held_out for path in find_images(folder)]
        index = HeldOutIndex(held_out_paths)
        paths = [path for folder in training for path in find_images(folder)]
        found = 0
        for path in tqdm(paths, unit="image", disable=None):
            shared = index.shared_points(path, points)
            found += bool(shared)
            for number, count in shared.items():
                tqdm.write(f"{path} shows {held_out_paths[number]}: {count} points")
    except (InputError, OSError) as error:
        sys.exit(f"error: {error}")
    typer.echo(f"{found} of {len(paths)} images share {points} points or more with one of {len(held_out_paths)}")
    raise typer.Exit(1 if found else 0)


class HeldOutIndex:
    """A search index of the SIFT points of the held-out images.

    Args:
        paths: The held-out images.

    Raises:
        InputError: If an image cannot be read.
    """

    def __init__(self, paths: list[Path]) -> None:
        self.matcher = cv2.FlannBasedMatcher({"algorithm": 1, "trees": 4}, {"checks": 64})  # 1: k-d trees
        self.positions = []
        for path in paths:
            positions, descriptors = sift_points(path)
            self.positions.append(positions)
            self.matcher.add([descriptors])
        self.matcher.train()

    def shared_points(self, path: Path, least: int) -> dict[int, int]:
        """Count the points that an image shares with each held-out image.

        Args:
            path: The image.
            least: Lowest count that is returned.

        Returns:
            Index of a held-out image -> number of points that agree on one shift, rotation and size.

        Raises:
            InputError: If the image cannot be read.
        """
        positions, descriptors = sift_points(path)
        matches: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for nearest in self.matcher.knnMatch(descriptors, k=2):
            if len(nearest) == 2 and nearest[0].distance < RATIO * nearest[1].distance:
                matches[nearest[0].imgIdx].append((nearest[0].queryIdx, nearest[0].trainIdx))
        shared = {}
        for number, pairs in matches.items():
            if len(pairs) < least:
                continue
            here, there = np.array(pairs).T
            here, there = positions[here], self.positions[number][there]
            cv2.setRNGSeed(0)
            _, inliers = cv2.estimateAffinePartial2D(here, there, ransacReprojThreshold=MAX_ERROR)
            # Several points may be at one position, and several may match the same point. Count distinct positions.
            count = min(len(np.unique(side[inliers[:, 0] > 0].round(), axis=0)) for side in (here, there))
            if count >= least:
                shared[number] = count
        return shared


def sift_points(path: Path) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.float32]], cv2.typing.MatLike]:
    """Return the positions (N, 2) and the SIFT descriptors (N, 128) of an image.

    An image without detail gets one point with a descriptor of zeros, which matches nothing.

    Raises:
        InputError: If the image cannot be read.
    """
    points, descriptors = cv2.SIFT.create(nfeatures=FEATURES).detectAndCompute(to_grey(read_image(path).rgb), None)
    if not points:
        return np.zeros((1, 2), np.float32), np.zeros((1, 128), np.float32)
    return np.array([point.pt for point in points], np.float32), descriptors


if __name__ == "__main__":
    typer.run(main)
