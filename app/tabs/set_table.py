"""The table of a whole test set: scores of each method on each image, measured on request."""

from __future__ import annotations

import functools
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app.cancelling import SAME, JobControls, Step, new_value
from app.events import EACH
from app.serving.jobs import JOB_SECONDS, deadline, errors_for_visitor, store_result
from app.set_tables import Key, SetTables
from app.status import HIDDEN_JS, status_html
from drn.errors import InputError
from drn.evaluation.benchmark import ImageRow, means
from drn.evaluation.tables import write_images

OPEN_JS = """(index, scale) => {
  document.querySelector("#compare-tab-button")?.click();
  const choice = document.querySelector(`#scale input[value="${scale}"]`);
  if (!choice?.checked) choice?.click();
  setTimeout(() => document.querySelectorAll("#examples .thumbnail-item")[index]?.click(), 100);
}"""
"""JavaScript that opens an image in the Compare tab by clicking the controls of this tab."""


@dataclass(frozen=True)
class SetOutputs:
    """The components that a measurement sets.

    Attributes:
        images: The scores of each image.
        averages: The mean scores.
        download: Downloads all scores.
    """

    images: gr.Dataframe
    averages: gr.Dataframe
    download: gr.DownloadButton


@dataclass(frozen=True)
class SetTableHandlers:
    """Handlers of the table's events.

    Attributes:
        tables: The measurements of the sets.
        stems: Names of the photographs, in the order of the gallery in the Compare tab.
    """

    tables: SetTables
    stems: tuple[str, ...]

    def measure(self, outputs: SetOutputs, name: str, scale: str) -> Generator[Step, None, None]:
        """Measure all methods on the images of a test set, and show the scores after each result.

        Args:
            outputs: The components that the steps set.
            name: Name of the set.
            scale: The scale.
        """
        key, ends, shown = self.tables.key(name, int(scale)), deadline(), -1
        with errors_for_visitor():
            try:
                for done, total in self.tables.measure(key, ends):
                    status = status_html(f"{done} of {total} results measured", done / total)
                    yield Step(status, [*self._tables(key, outputs), SAME] if done != shown else None)
                    shown = done
                sentence = f"All {total} results are measured."
                if failures := self.tables.failures(key):
                    sentence = f"{total - failures} of {total} results are measured; the others could not be measured."
            except InputError as error:
                is_late = time.monotonic() > ends
                sentence = (
                    f"Stopped after {JOB_SECONDS:.0f} seconds: press Measure again to continue."
                    if is_late
                    else str(error)
                )
            file = store_result(f"{name}_x{scale}.csv", functools.partial(write_images, images=self.tables.rows(key)))
        values = [*self._tables(key, outputs), new_value(outputs.download, file)]
        yield Step(status_html(sentence), values, is_last=True)

    def find(self, event: gr.SelectData) -> int:
        """Return the index in the gallery of the image whose row was clicked."""
        row = (event._data or {}).get("row_value")
        name = row[0] if isinstance(row, list) and row else None
        if name not in self.stems:
            raise gr.Error("There is no such photograph: choose one of those shown.", print_exception=False)
        return self.stems.index(name)

    def _tables(self, key: Key, outputs: SetOutputs) -> list[dict[str, Any]]:
        rows = self.tables.rows(key)
        head, values = image_table(rows, [method.name for method in self.tables.methods(key)])
        averages = [
            [
                row.method,
                row.images,
                round(row.psnr, 2),
                round(row.ssim, 4),
                "" if row.seconds is None else round(row.seconds, 2),
            ]
            for row in means(rows)
        ]
        kinds = ["str", *["number"] * (len(head) - 1)]
        images = new_value(outputs.images, {"headers": head, "data": values}, headers=head, datatype=kinds)
        return [images, new_value(outputs.averages, averages)]


def image_table(rows: Sequence[ImageRow], methods: Sequence[str]) -> tuple[list[str], list[list[Any]]]:
    """Arrange measurements as a table: a row for each image, with PSNR and SSIM of each method.

    Returns:
        The names of the columns, and the rows; None stands for a missing value.
    """
    known = {(row.image, row.method): row for row in rows}
    head, values = ["image"], []
    for method in methods:
        head += [f"{method} PSNR", f"{method} SSIM"]
    for image in dict.fromkeys(row.image for row in rows):
        line: list[Any] = [image]
        for method in methods:
            row = known.get((image, method))
            line += [None, None] if row is None else [round(row.psnr, 2), round(row.ssim, 4)]
        values.append(line)
    return head, values


def set_table(tables: SetTables, photographs: Sequence[Path], scales: Sequence[int], weights_key: gr.State) -> None:
    """Add the components and events to the current tab.

    Args:
        tables: The measurements of the sets.
        photographs: The photographs of the Compare tab.
        scales: The scales to choose from.
        weights_key: Identifies the weights in use; the tables are cleared when it changes.
    """
    names = list(tables.sets)
    gr.Markdown("## Whole test sets: PSNR in dB and SSIM of each image")
    with gr.Row():
        name = gr.Radio(names, value=names[0], label="Test set", elem_id="set", min_width=200)
        choices = [(f"x{scale}", str(scale)) for scale in scales]
        scale = gr.Radio(choices, value=str(max(scales)), label="Scale", elem_id="set-scale", min_width=200)
        job = JobControls("set", "Measure", size="sm", min_width=120)
    job.add_status()
    options: dict[str, Any] = {"interactive": False, "visible": False, "show_search": "none"}
    images = gr.Dataframe(
        elem_id="set-images", label="Click an image to open it in Compare", pinned_columns=1, **options
    )
    averages = gr.Dataframe(
        headers=["method", "images", "mean PSNR", "mean SSIM", "seconds per image"], elem_id="set-means", **options
    )
    download = gr.DownloadButton("Download CSV", visible=False, size="sm", elem_id="set-csv")
    index = gr.Number(visible=False)

    handlers = SetTableHandlers(tables, tuple(path.stem for path in photographs))
    measure = functools.partial(handlers.measure, SetOutputs(images, averages, download))
    job.run(measure, [name, scale], [images, averages, download])
    job.cancel_on([job.cancel.click], "Stopped: the finished measurements are kept.")
    # New weights make the tables outdated too. The browser clears them without the server, because a late answer would
    # clear those of the new choice.
    job.cancel_on([name.change, scale.change, weights_key.change], None, [HIDDEN_JS, HIDDEN_JS, HIDDEN_JS])
    opened = images.select(handlers.find, None, index, queue=False, **EACH)
    opened.success(None, [index, scale], None, js=OPEN_JS, api_visibility="private")
