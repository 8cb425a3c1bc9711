"""Find training images that show what a validation or test image shows: the same place, cut, turned or resized.

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
from drn.image import find_images, read_image, to_grey

FEATURES = 600
"""SIFT points of an image, the strongest."""
RATIO = 0.8
"""A match counts if it is so much nearer than the next best (Lowe 2004, 7.1)."""
REACH = 3.0
"""Pixels by which a match may miss where the others say it should be."""


def main(
    training: Annotated[list[Path], typer.Argument(help="Folders of training images.")],
    held_out: Annotated[list[Path], typer.Option(help="Folders of images that must not be among them.")],
    points: Annotated[int, typer.Option(help="Points that must agree on one shift, turn and size.", min=3)] = 10,
) -> None:
    """Print each training image that shares so many points with a held-out image; exit code 1 if there is one."""
    try:
        apart = [path for folder in held_out for path in find_images(folder)]
        known = HeldOut(apart)
        paths = [path for folder in training for path in find_images(folder)]
        found = 0
        for path in tqdm(paths, unit="image", disable=None):
            shared = known.shared(path, points)
            found += bool(shared)
            for number, count in shared.items():
                tqdm.write(f"{path} shows {apart[number]}: {count} points")
    except (InputError, OSError) as error:
        sys.exit(f"error: {error}")
    typer.echo(f"{found} of {len(paths)} images share {points} points or more with one of {len(apart)}")
    raise typer.Exit(1 if found else 0)


class HeldOut:
    """The points of the images that must not be trained on, ready to be searched.

    Raises:
        InputError: If an image cannot be read.
    """

    def __init__(self, paths: list[Path]) -> None:
        self.matcher = cv2.FlannBasedMatcher({"algorithm": 1, "trees": 4}, {"checks": 64})  # 1: k-d trees
        self.places = []
        for path in paths:
            places, descriptors = features(path)
            self.places.append(places)
            self.matcher.add([descriptors])
        self.matcher.train()

    def shared(self, path: Path, least: int) -> dict[int, int]:
        """Number of the held-out image -> points where the image at ``path`` agrees with it, if ``least`` or more."""
        places, descriptors = features(path)
        pairs: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for nearest in self.matcher.knnMatch(descriptors, k=2):
            if len(nearest) == 2 and nearest[0].distance < RATIO * nearest[1].distance:
                pairs[nearest[0].imgIdx].append((nearest[0].queryIdx, nearest[0].trainIdx))
        agreeing = {}
        for number, matched in pairs.items():
            if len(matched) < least:
                continue
            here, there = np.array(matched).T
            here, there = places[here], self.places[number][there]
            cv2.setRNGSeed(0)
            _, inliers = cv2.estimateAffinePartial2D(here, there, ransacReprojThreshold=REACH)
            # One place may have several points, and one point there may be the nearest of many here.
            count = min(len(np.unique(side[inliers[:, 0] > 0].round(), axis=0)) for side in (here, there))
            if count >= least:
                agreeing[number] = count
        return agreeing


def features(path: Path) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.float32]], cv2.typing.MatLike]:
    """The places (N, 2) and SIFT descriptors (N, 128) of an image; a flat one has a point that matches none."""
    found, descriptors = cv2.SIFT.create(nfeatures=FEATURES).detectAndCompute(to_grey(read_image(path).rgb), None)
    if not found:
        return np.zeros((1, 2), np.float32), np.zeros((1, 128), np.float32)
    return np.array([point.pt for point in found], np.float32), descriptors


if __name__ == "__main__":
    typer.run(main)
