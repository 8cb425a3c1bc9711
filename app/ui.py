"""The page: theme, header, tabs, queue and launch options."""

from __future__ import annotations

import functools
import os
from html import escape

import gradio as gr

from app.tabs import MAX_UPLOAD_BYTES, compare_tab
from app.viewer import CSS
from drn import weights
from drn.inference import Upscaler

PAPER = "https://arxiv.org/abs/1907.02843"

THEME = gr.themes.Base(
    primary_hue="teal",
    neutral_hue="slate",
    radius_size="md",
    spacing_size="sm",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
)


@functools.cache
def engine(scale: int) -> Upscaler:
    """The network for ``scale``, loaded once."""
    return Upscaler(weights.load_model(weights.BUNDLED, scale=scale))


def weights_line() -> str:
    """Which weights and arithmetic are in use, for the header."""
    parts = [weights.load(weights.find(scale)) for scale in weights.available_scales()]
    digests = ", ".join(f"x{part.model.scale} {part.sha256[:7]}" for part in parts)
    first = engine(parts[0].model.scale)
    dtype = str(first.dtype).removeprefix("torch.")
    return f"weights: {parts[0].source} ({digests}) · {first.device.type} {dtype}"


def build() -> gr.Blocks:
    """The whole page, with the first comparison already computed.

    Raises:
        InputError: If the bundled weights are missing or damaged.
    """
    scales = weights.available_scales()
    if not scales:
        weights.find(2)
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    demo = gr.Blocks(title="DRN super-resolution", analytics_enabled=False, delete_cache=(1800, 3600), fill_width=True)
    with demo:
        gr.HTML(
            '<header id="title"><h1>DRN</h1>'
            f'<p>Super-resolution beside its ground truth. <a href="{PAPER}">Paper</a></p>'
            f'<span class="weights" data-testid="weights">{escape(weights_line())}</span></header>'
        )
        with gr.Tabs(), gr.Tab("Compare"):
            compare_tab(engine, scales)
    demo.queue(max_size=32, default_concurrency_limit=1)
    return demo


def launch(demo: gr.Blocks, *, block: bool = True) -> str:
    """Serve the page and return its address; ``GRADIO_SERVER_NAME`` and ``GRADIO_SERVER_PORT`` are respected."""
    _, url, _ = demo.launch(
        theme=THEME,
        css=CSS,
        max_file_size=MAX_UPLOAD_BYTES,
        show_error=False,
        enable_monitoring=False,
        run_history=False,
        mcp_server=False,
        ssr_mode=False,
        footer_links=[],
        prevent_thread_lock=not block,
    )
    return url
