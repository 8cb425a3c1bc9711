"""The PSNR of DRN among that of the other networks, at one scale: rows of a table, and a sentence on who is ahead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drn.evaluation.methods import BICUBIC, DRN, DRN_PLUS
from drn.evaluation.tables import lead

SETS = ("Set5", "Set14")
"""The test sets on which the other networks were measured."""


@dataclass(frozen=True)
class Ranked:
    """The mean PSNR of one method at one scale.

    Attributes:
        name: The network or method.
        parameters: Its number of parameters; None if it has none.
        psnr: PSNR in dB by test set, rounded to two digits.
    """

    name: str
    parameters: int | None
    psnr: Mapping[str, float]

    @property
    def is_network(self) -> bool:
        """Whether it is a network in one pass, so that it takes part in the ranking."""
        return self.name not in (BICUBIC, DRN_PLUS)


def ranked(peers: Mapping[str, Any], results: Mapping[str, Any], scale: int) -> list[Ranked]:
    """List all methods that were measured at a scale, by falling PSNR on the first test set.

    Args:
        peers: The output of ``drn.evaluation.peers.read_peers``.
        results: The output of ``drn evaluate --json``.
        scale: The scale.
    """
    key = f"x{scale}"
    found = [
        Ranked(
            entry["name"],
            entry[key]["parameters"],
            {data: round(entry[key][data]["rounded"][0], 2) for data in SETS if data in entry[key]},
        )
        for entry in peers["networks"]
        if key in entry
    ]
    own: dict[str, dict[str, float]] = {}
    for row in results["rows"]:
        if row["scale"] == scale and row["data"] in SETS and row["psnr"] is not None:
            own.setdefault(row["method"], {})[row["data"]] = round(row["psnr"], 2)
    size = results["weights"].get(key, {}).get("parameters")
    found += [Ranked(name, None if name == BICUBIC else size, psnr) for name, psnr in own.items()]
    return sorted(found, key=lambda row: -row.psnr.get(SETS[0], 0.0))


def standing_on(rows: Sequence[Ranked], data: str, scale: int) -> str:
    """Say in one sentence where DRN stands among the networks on a test set; empty if it was not measured there.

    Args:
        rows: The output of ``ranked``.
        data: The test set.
        scale: The scale.
    """
    scores = {row.name: row.psnr[data] for row in rows if row.is_network and data in row.psnr}
    if DRN not in scores or len(scores) < 2:
        return ""
    own = scores.pop(DRN)
    best = max(scores.values())
    leaders = " and ".join(name for name, psnr in scores.items() if psnr == best)
    ahead_by = lead(own, best)
    start = f"On {data} at x{scale}, DRN reaches {own:.2f} dB"
    if ahead_by > 0:
        return f"{start} and is ahead of all {len(scores)} other networks, by {ahead_by:.2f} dB or more."
    if ahead_by == 0:
        return f"{start}, level with {leaders}, and no network is ahead."
    ahead = [name for name, psnr in scores.items() if psnr < own]
    level = [name for name, psnr in scores.items() if psnr == own]
    parts = [f"the best network, {leaders}, has {best:.2f} dB, {-ahead_by:.2f} dB more"]
    parts += [f"DRN is level with {' and '.join(level)}"] if level else []
    parts += [f"DRN is ahead of {' and '.join(ahead)}" if ahead else "DRN is ahead of none"]
    return f"{start}: {'; '.join(parts)}."
