"""The page: theme, header, tabs, queue and launch."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Mapping

import gradio as gr
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api import endpoints
from app.engines import ServedWeights
from app.opening import opening_of
from app.options import PageOptions
from app.photographs import examples
from app.serving import decoding
from app.serving.cache import start_sweeping, use_own_folder
from app.serving.connections import bound_the_log
from app.serving.gradio_patches import (
    describe_page,
    keep_requests_out_of_the_log,
    send_schemas_once,
    send_whole_values,
    serve_behind,
    store_no_inputs,
)
from app.serving.guard import Failures, Guard, log_kind
from app.serving.limits import MAX_CROP_PIXELS, MAX_OUTPUT_PIXELS, MAX_PIXELS, MAX_UPLOAD_BYTES, MAX_WAITING
from app.serving.listeners import Listeners
from app.set_tables import SetTables, named_sets
from app.tabs.compare import compare_tab
from app.tabs.results import results_tab
from app.tabs.set_table import set_table
from app.tabs.upscale import upscale_tab
from app.viewer.component import APP, read_script, read_static

TITLE = "DRN super-resolution"
DESCRIPTION = (
    "Compare an image enlarged by DRN with bicubic enlargement and with the original, by eye and by PSNR and SSIM, "
    "and enlarge your own small images."
)

PREVIEW, SCRIPT = "/preview.jpg", "/viewer.js"
"""Paths of the page's own files: the picture that link previews show, and the JavaScript of the viewer and of the crop
step."""

STYLES = (
    "static/page.css",
    "static/drop.css",
    "static/crop.css",
    "viewer/static/viewer.css",
    "viewer/static/region.css",
    "static/access.css",
)
"""The page's CSS files, in the order in which they are joined."""

PAPER = "https://arxiv.org/abs/1907.02843"

THEME = gr.themes.Base(
    primary_hue="teal",
    neutral_hue="slate",
    radius_size="md",
    spacing_size="sm",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
).set(
    # These colours are darker than gradio's, which have too little contrast for small text, buttons and checkboxes.
    body_text_color_subdued="*neutral_500",
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_hover_dark="*primary_800",
    checkbox_border_color="*neutral_500",
    checkbox_border_color_dark="*neutral_400",
)


def header(served: ServedWeights) -> str:
    """Make the page's title, with the weights in use behind a button."""
    return (
        '<header id="title"><a class="skip" href="#viewer">Skip to the content</a><h1>DRN</h1>'
        "<p>A small picture, enlarged: which is nearest the original?</p>"
        '<details><summary aria-label="About this page" title="About this page">i</summary>'
        f'<div><a href="{PAPER}">The paper</a>{served.header}</div></details></header>'
    )


def build(options: PageOptions = PageOptions()) -> gr.Blocks:
    """Build the page; the first comparison is computed here.

    Args:
        options: The choices of the command line.

    Raises:
        InputError: If the weights are missing or damaged, or a folder or photograph of ``options`` cannot be used.
    """
    use_own_folder()
    served = ServedWeights(options.weights)
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    demo = gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True)
    with demo:
        title = gr.HTML(header(served), elem_id="header")
        weights_key = gr.State(served.key)
        _add_tabs(demo, served, weights_key, options)
        endpoints(served)

        async def when_settled() -> tuple[str, str]:
            await served.settled()
            return header(served), served.key

        demo.load(
            when_settled,
            outputs=[title, weights_key],
            concurrency_limit=None,
            show_progress="hidden",
            api_visibility="private",
        )
    demo.queue(max_size=MAX_WAITING, default_concurrency_limit=1, api_open=False)
    return demo


def _add_tabs(demo: gr.Blocks, served: ServedWeights, weights_key: gr.State, options: PageOptions) -> None:
    upscaler_for, scales, photographs = served.upscaler_for, served.scales, examples(options.data)
    with gr.Tabs():
        with gr.Tab("Compare", id="compare", elem_id="compare-tab"):
            compare_tab(demo, upscaler_for, scales, weights_key, photographs, options, served.photo_for)
        upscale_tab(served)
        tables = SetTables(named_sets(options.data, photographs), upscaler_for, options.further)
        results_tab(functools.partial(set_table, tables, photographs, scales, weights_key))


def crop_script() -> str:
    """Join the JavaScript with which a visitor chooses a part of a large photograph, and the limits that it needs."""
    limits = {
        "bytes": MAX_UPLOAD_BYTES,
        "compared": MAX_PIXELS,
        "result": MAX_OUTPUT_PIXELS,
        "crop": MAX_CROP_PIXELS,
    }
    script = read_static("static/crop_frame.js", "static/crop_dialog.js", "static/crop_uploads.js")
    return f"const PHOTO_LIMITS = {json.dumps(limits)};\n{script}"


def own_files(script: str, images: Mapping[str, bytes]) -> dict[str, ASGIApp]:
    """Make the answers to requests for the page's own files, by path.

    Args:
        script: The JavaScript that every visitor needs.
        images: The WebP files of the first picture, by path.
    """
    keep = {"Cache-Control": "public, max-age=31536000, immutable"}

    async def send_script(scope: Scope, receive: Receive, send: Send) -> None:
        # GZipMiddleware changes the headers of the response that it compresses, so each request needs its own.
        await Response(script, media_type="text/javascript", headers=keep)(scope, receive, send)

    return {
        PREVIEW: Response((APP / "static" / "preview.jpg").read_bytes(), media_type="image/jpeg"),
        SCRIPT: GZipMiddleware(send_script),
        **{path: Response(data, media_type="image/webp", headers=keep) for path, data in images.items()},
    }


def on_load(*functions: str) -> str:
    """Join JavaScript functions into one function, which gradio calls when the page is loaded."""
    return "() => {" + "".join(f"\n({function})();" for function in functions) + "\n}"


def launch(demo: gr.Blocks, *, block: bool = True, port: int | None = None) -> str:
    """Serve the page at ``GRADIO_SERVER_NAME`` and ``GRADIO_SERVER_PORT``.

    Args:
        demo: The page.
        block: Whether to return only when the server has stopped.
        port: The port, instead of ``GRADIO_SERVER_PORT``.

    Returns:
        The address of the page.
    """
    keep_requests_out_of_the_log(log_kind)
    store_no_inputs()
    send_whole_values()
    send_schemas_once(demo)
    bound_the_log()
    decoding.pool.warm()
    listeners = Listeners(demo)
    script = read_script() + crop_script()
    version = hashlib.sha256(script.encode()).hexdigest()[:16]  # browsers keep the script of a version
    opening = opening_of(
        next(block.value for block in demo.blocks.values() if isinstance(block, gr.HTML) and block.elem_id == "viewer")
    )
    describe_page(TITLE, DESCRIPTION, PREVIEW, f"{SCRIPT}?{version}", opening.html)
    own = own_files(script, opening.files)
    serve_behind(lambda app: Guard(app, listeners, own))
    start_sweeping(lambda: demo.is_running)
    _, url, _ = demo.launch(
        server_port=port,
        theme=THEME,
        css=read_static(*STYLES),
        js=on_load(read_static("static/page.js"), read_static("static/names.js")),
        max_file_size=MAX_UPLOAD_BYTES,
        show_error=False,
        enable_monitoring=False,
        run_history=False,
        mcp_server=False,
        ssr_mode=False,
        footer_links=[],
        app_kwargs={"middleware": [Middleware(Failures)], "lifespan": listeners.lifespan},
        state_session_capacity=500,  # each takes memory for a copy of the page's config
        prevent_thread_lock=not block,
    )
    return url
