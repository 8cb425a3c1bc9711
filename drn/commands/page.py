"""``drn app``: the page, with test sets and methods from the command line."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated

import typer

from drn.commands.options import NetworkOption, ResultsOption, WeightsOption, given_methods
from drn.errors import InputError, not_installed


def app_command(
    data: Annotated[
        list[Path] | None, typer.Option(help="Folders of HR images to show instead of the bundled photographs.")
    ] = None,
    results: ResultsOption = None,
    network: NetworkOption = None,
    scale: Annotated[
        int, typer.Option(help="Scale that the page opens with, and scale of the results and networks.")
    ] = 4,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the server. [default: 7860]")] = None,
    weights_at: WeightsOption = None,
) -> None:
    """Serve the page, which shows each method beside the original, with scores. Needs the extra ``app``."""
    # The library must not import the page. Only this command loads it, by its name.
    try:
        page = importlib.import_module("app.main")
    except ModuleNotFoundError as error:
        raise InputError("The page is not installed here: run the command in a checkout of DRN.") from error
    further = tuple(given_methods(results or [], network or [], scale))
    for note in (note for method in further for note in method.notes):
        typer.echo(f"note: {note}", err=True)
    try:
        page.serve(page.PageOptions(tuple(data or ()), further, scale, weights_at, port))
    except ModuleNotFoundError as error:
        raise not_installed("The page", error, "app") from error
