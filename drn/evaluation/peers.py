"""The results of other networks, and tables of them beside our own results.

``peers.json`` contains results that were measured by the protocol of this project, for both conventions of luma, and
published results, which were not measured here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from drn.evaluation.benchmark import Row
from drn.evaluation.methods import BICUBIC, DRN, DRN_PLUS
from drn.evaluation.tables import lead, psnr_text
from drn.metrics import Luma
from drn.model import SCALES

PEERS = Path(__file__).with_name("peers.json")

SAME_SET = 0.005
"""Largest accepted difference in dB between our PSNR of bicubic interpolation on a set and the value in ``peers.json``.
If the difference is larger, the set holds other images."""


def read_peers() -> dict[str, Any]:
    """Return the content of ``peers.json``."""
    peers: dict[str, Any] = json.loads(PEERS.read_text(encoding="utf-8"))
    return peers


def text_table(rows: Sequence[Row], luma: Luma) -> str:
    """Return a text table of DRN, DRN+ and the other networks, for the sets on which both were measured.

    Args:
        rows: Our own results, on LR images that are not degraded.
        luma: How the luma of our results was computed.

    Returns:
        One line for DRN, DRN+ and each network that was measured on one of these sets, and one column for each set and
        scale. Empty if there is no such set. The PSNR of bicubic interpolation shows whether a set has the same images.
    """
    peers = read_peers()
    columns = [
        (row.data, row.scale)
        for row in rows
        if row.method == BICUBIC
        and (value := peers["bicubic"].get(row.data, {}).get(f"x{row.scale}")) is not None
        and abs(row.psnr - value[luma]) <= SAME_SET
    ]
    if not columns:
        return ""
    found: dict[str, dict[tuple[str, int], float]] = {
        method: {(row.data, row.scale): row.psnr for row in rows if row.method == method} for method in (DRN, DRN_PLUS)
    }
    for entry in peers["networks"]:
        values = {(data, scale): entry.get(f"x{scale}", {}).get(data) for data, scale in columns}
        found[entry["name"]] = {column: value[luma][0] for column, value in values.items() if value is not None}
    heads = [f"{data} x{scale}" for data, scale in columns]
    lines = [f"{'':<8}" + "".join(f"  {head:>7}" for head in heads)]
    for name, psnrs in found.items():
        cells = [f"{psnrs[column]:.3f}" if column in psnrs else "–" for column in columns]
        if set(cells) != {"–"}:
            row = "".join(f"  {cell:>{max(7, len(head))}}" for cell, head in zip(cells, heads, strict=True))
            lines.append(f"{name:<8}{row}")
    return "\n".join(lines)


def full_table(peers: Mapping[str, Any], results: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Make a table of the PSNR of other networks, measured by the protocol of this project, and of our own results.

    Args:
        peers: The output of ``read_peers``.
        results: The output of ``report``.

    Returns:
        The head and the rows of the table; bicubic first, then the other methods, sorted by PSNR on Set5 x2.
    """
    columns = [(data, scale) for data in ("Set5", "Set14") for scale in SCALES]
    head = ["network", "parameters", *(f"{data} x{scale}" for data, scale in columns)]
    rows = []
    for entry in peers["networks"]:
        sizes = [entry[f"x{scale}"]["parameters"] for scale in SCALES if f"x{scale}" in entry]
        values = [_peer_psnr(entry, data, scale) for data, scale in columns]
        rows.append([entry["name"], _megas(sizes), *values])
    ours: dict[str, dict[tuple[str, int], str]] = {}
    for row in results["rows"]:
        ours.setdefault(row["method"], {})[row["data"], row["scale"]] = psnr_text(row["psnr"])
    size = _megas([entry["parameters"] for entry in results["weights"].values()])
    for method, found in ours.items():
        rows.append([method, "–" if method == BICUBIC else size, *(found.get(column, "–") for column in columns)])
    return head, sorted(rows, key=lambda row: (row[0] != BICUBIC, row[2]))


def standing(peers: Mapping[str, Any], results: Mapping[str, Any]) -> list[str]:
    """Compare the PSNR of DRN with that of the other networks, in one sentence for each test set and scale.

    Args:
        peers: The output of ``read_peers``.
        results: The output of ``report``.

    Returns:
        One sentence for each test set and scale for which both arguments have results.
    """
    sentences = []
    for row in results["rows"]:
        data, scale = row["data"], row["scale"]
        if row["method"] != DRN or row["psnr"] is None:
            continue
        groups: dict[str, list[str]] = {"ahead of": [], "level with": [], "behind": []}
        for entry in peers["networks"]:
            measured = entry.get(f"x{scale}", {})
            if data not in measured:
                continue
            ahead = lead(row["psnr"], measured[data]["rounded"][0])
            size = _megas([measured["parameters"]])
            group = "ahead of" if ahead > 0 else "behind" if ahead < 0 else "level with"
            groups[group].append(f"{entry['name']} ({size})" + (f" by {abs(ahead):.2f} dB" if ahead else ""))
        if not any(groups.values()):
            continue
        parts = [f"{group} {', '.join(names)}" for group, names in groups.items() if names]
        size = _megas([results["weights"][f"x{scale}"]["parameters"]])
        sentences.append(f"{data} x{scale}: {DRN} ({size}) has {psnr_text(row['psnr'])} dB. It is {'; '.join(parts)}.")
    return sentences


def peer_sources(peers: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Make a table that tells where each measured network comes from: paper, data, repository, commit, sha256."""
    head = ["network", "paper", "trained on", "repository", "commit", *(f"sha256 x{scale}" for scale in SCALES)]
    rows = [
        [
            *(entry[key] for key in ("name", "paper", "trained_on", "repository", "commit")),
            *(entry.get(f"x{scale}", {}).get("weights_sha256", "–") for scale in SCALES),
        ]
        for entry in peers["networks"]
    ]
    return head, rows


def published_peers(peers: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Make a table of published PSNR values on Set5, for networks that were not run here."""
    head = ["network, as published", "parameters", *(f"Set5 x{scale}" for scale in SCALES), "source"]
    rows = [
        [
            entry["name"],
            _megas([entry["parameters"]]),
            *(f"{entry['psnr'][str(scale)]:.2f}" for scale in SCALES),
            entry["source"],
        ]
        for entry in peers["published"]["networks"]
    ]
    return head, rows


def _peer_psnr(entry: Mapping[str, Any], data: str, scale: int) -> str:
    values = entry.get(f"x{scale}", {}).get(data)
    return "–" if values is None else psnr_text(values["rounded"][0])


def _megas(counts: Sequence[int]) -> str:
    """Return numbers of parameters as text: ``0.83 M``, or ``0.83 to 0.85 M``."""
    ends = dict.fromkeys(f"{count / 1e6:.2f}" for count in (min(counts), max(counts))) if counts else {"–": None}
    return f"{' to '.join(ends)} M"
