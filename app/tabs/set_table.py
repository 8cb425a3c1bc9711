"""The table of a whole test set: scores of each method on each image, measured on request."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app.events import EACH, HEAVY, QUIET
from app.serving.jobs import JOB_SECONDS, deadline, errors_for_visitor, store_result
from app.set_tables import Key, SetTables
from app.status import HIDDEN_JS, WAITING, status_html
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
class SetTableHandlers:
    """Handlers of the table's events.

    Attributes:
        tables: The measurements of the sets.
        stems: Names of the photographs, in the order of the gallery in the Compare tab.
    """

    tables: SetTables
    stems: tuple[str, ...]

    def measure(self, name: str, scale: str, weights_key: str) -> Iterator[tuple[Any, ...]]:
        """Measure a set, and yield values for the status, ``is_busy``, the two tables and the download."""
        key, ends, shown = (name, int(scale), weights_key), deadline(), -1
        with errors_for_visitor():
            try:
                for done, total in self.tables.measure(key, ends):
                    status = status_html(f"{done} of {total} results measured", done / total)
                    yield (status, True, *(self._tables(key) if done != shown else (gr.skip(), gr.skip())), gr.skip())
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
        yield status_html(sentence), False, *self._tables(key), gr.DownloadButton(value=str(file), visible=True)

    def find(self, event: gr.SelectData) -> int:
        """Return the index in the gallery of the image whose row was clicked."""
        row = (event._data or {}).get("row_value")
        name = row[0] if isinstance(row, list) and row else None
        if name not in self.stems:
            raise gr.Error("There is no such photograph: choose one of those shown.", print_exception=False)
        return self.stems.index(name)

    def _tables(self, key: Key) -> tuple[gr.Dataframe, gr.Dataframe]:
        rows = self.tables.rows(key)
        head, values = image_table(rows, [method.name for method in self.tables.methods(key[1])])
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
        kinds: list[Any] = ["str", *["number"] * (len(head) - 1)]
        return gr.Dataframe(values, headers=head, datatype=kinds, visible=True), gr.Dataframe(averages, visible=True)


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
        weights_key: Identifies the weights in use.
    """
    names = list(tables.sets)
    gr.Markdown("### Whole test sets: PSNR in dB and SSIM of each image")
    with gr.Row():
        name = gr.Radio(names, value=names[0], label="Test set", elem_id="set", min_width=200)
        choices = [(f"x{scale}", str(scale)) for scale in scales]
        scale = gr.Radio(choices, value=str(max(scales)), label="Scale", elem_id="set-scale", min_width=200)
        start = gr.Button("Measure", variant="primary", size="sm", elem_id="set-start", min_width=120)
        cancel = gr.Button("Cancel", size="sm", elem_id="set-cancel", min_width=120)
    status = gr.HTML(status_html(""), elem_id="set-status")
    is_busy = gr.Checkbox(visible="hidden")
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
    outputs = [status, is_busy, images, averages, download]
    plain: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    start.click(None, None, [status, is_busy], js=f"() => [{json.dumps(WAITING)}, true]", **plain)
    # A click soon after Cancel must count, although the cancelled event may not have ended yet.
    running = start.click(
        handlers.measure, [name, scale, weights_key], outputs, **{**HEAVY, "trigger_mode": "multiple"}
    )
    stopped = status_html("Stopped: the finished measurements are kept.")
    # Cancelling also counts as a failure. A message of the handler stays; a progress bar is replaced.
    settle = f"(status, isBusy) => [isBusy ? {json.dumps(stopped)} : status, false]"
    shown = [status, is_busy]
    running.failure(None, shown, shown, js=settle, **plain)
    cancel.click(lambda: (stopped, False), None, shown, cancels=[running], queue=False, **plain)
    # The browser clears the tables without the server, because a late answer would clear those of the new choice.
    clear = f"() => [{json.dumps(status_html(''))}, false, {HIDDEN_JS}, {HIDDEN_JS}, {HIDDEN_JS}]"
    gr.on([name.change, scale.change], None, None, outputs, js=clear, cancels=[running], **QUIET)
    opened = images.select(handlers.find, None, index, queue=False, **EACH)
    opened.success(None, [index, scale], None, js=OPEN_JS, api_visibility="private")
