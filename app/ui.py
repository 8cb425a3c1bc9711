"""The page: theme, header, tabs, queue and launch options."""

from __future__ import annotations

import os

import gradio as gr
from starlette.middleware import Middleware

from app import decoding
from app.api import endpoints
from app.cache import start_sweeping, use_own_folder
from app.connections import bound_the_log
from app.engines import Engines
from app.gradio_patches import Listeners, keep_requests_out_of_the_log, serve_behind, store_no_inputs
from app.guard import Failures, Guard, log_kind
from app.session import MAX_UPLOAD_BYTES
from app.tabs.benchmarks import benchmarks_tab
from app.tabs.compare import compare_tab
from app.tabs.scales import scales_tab
from app.tabs.upscale import upscale_tab
from app.viewer import read_static

MAX_WAITING = 32
"""Requests in the queue; more are told that it is full."""

PAPER = "https://arxiv.org/abs/1907.02843"

THEME = gr.themes.Base(
    primary_hue="teal",
    neutral_hue="slate",
    radius_size="md",
    spacing_size="sm",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
).set(
    # gradio's own are too pale: text to read on white, white text on a button, the outline of a box.
    body_text_color_subdued="*neutral_500",
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_hover_dark="*primary_800",
    checkbox_border_color="*neutral_500",
    checkbox_border_color_dark="*neutral_400",
)


def header(engines: Engines) -> str:
    return (
        '<header id="title"><h1>DRN</h1>'
        f'<p>Super-resolution beside its ground truth. <a href="{PAPER}">Paper</a></p>{engines.header}</header>'
    )


def build() -> gr.Blocks:
    """The whole page, with the first comparison already computed.

    Raises:
        InputError: If the bundled weights are missing or damaged.
    """
    use_own_folder()
    engines = Engines()
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    demo = gr.Blocks(title="DRN super-resolution", analytics_enabled=False, fill_width=True)
    with demo:
        title = gr.HTML(header(engines), elem_id="header")
        in_use = gr.State(engines.key)
        with gr.Tabs():
            with gr.Tab("Compare", id="compare") as compare:
                shelf, compared = compare_tab(demo, engines, engines.scales, in_use)
            filling = scales_tab(demo, engines, engines.scales, shelf, compared, in_use)
            elsewhere = compare, upscale_tab(engines, engines.scales), benchmarks_tab()
        # Nobody looks at it any more, and it would keep the others waiting.
        gr.on([tab.select for tab in elsewhere], None, cancels=[filling], queue=False, api_visibility="private")
        endpoints(engines, engines.scales)

        async def when_settled() -> tuple[str, str]:
            await engines.settled()
            return header(engines), engines.key

        demo.load(
            when_settled,
            outputs=[title, in_use],
            concurrency_limit=None,
            show_progress="hidden",
            api_visibility="private",
        )
    demo.queue(max_size=MAX_WAITING, default_concurrency_limit=1, api_open=False)
    return demo


def launch(demo: gr.Blocks, *, block: bool = True) -> str:
    """Serve the page and return its address; ``GRADIO_SERVER_NAME`` and ``GRADIO_SERVER_PORT`` are respected."""
    keep_requests_out_of_the_log(log_kind)
    store_no_inputs()
    bound_the_log()
    decoding.pool.warm()
    listeners = Listeners(demo)
    serve_behind(lambda app: Guard(app, listeners))
    start_sweeping(lambda: demo.is_running)
    _, url, _ = demo.launch(
        theme=THEME,
        css=read_static("page.css", "viewer/viewer.css"),
        js=read_static("page.js"),
        max_file_size=MAX_UPLOAD_BYTES,
        show_error=False,
        enable_monitoring=False,
        run_history=False,
        mcp_server=False,
        ssr_mode=False,
        footer_links=[],
        app_kwargs={"middleware": [Middleware(Failures)], "lifespan": listeners.lifespan},
        state_session_capacity=500,  # each holds a copy of the page's config
        prevent_thread_lock=not block,
    )
    return url
