"""Changes of gradio's own behaviour: its server, log, page and components. Those of its queue are in ``listeners``."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from html import escape
from types import SimpleNamespace
from typing import Any

import gradio as gr
import gradio.http_server
import gradio.queueing
import gradio.routes
import uvicorn
from gradio.routes import file_upload_statuses
from gradio.state_holder import SessionState
from jinja2 import FunctionLoader
from starlette.types import ASGIApp

from app.serving.connections import PatientProtocol
from app.serving.hosts import trusted_proxies
from app.serving.listeners import QUIET_ANSWERS

PREVIEW_TAGS = re.compile(r'<meta\s+(?:property="og:|name="twitter:|name="description")[^>]*/>')
"""The tags of the page's HTML that link previews use."""

TEMPLATES = gradio.routes.templates.env.loader
"""Reads gradio's own templates."""

NO_FILE = "The image must be sent as a file: save it, and give its path to handle_file of the client."


def keep_requests_out_of_the_log(log_kind: Callable[[], None]) -> None:
    """Make gradio log only the kind of an error, because the traceback quotes the visitor's event.

    Args:
        log_kind: Logs the kind of the error that is being handled.
    """
    for module in (gradio.queueing, gradio.routes):
        module.traceback = SimpleNamespace(print_exc=log_kind)  # type: ignore[attr-defined]


def take_path(component: gr.components.Component) -> None:
    """Make a component for files pass the path to its handler, which must open it by ``find_upload``.

    Otherwise gradio would decode the file in this process, and refuse a damaged file without a message.
    """
    component.preprocess = lambda payload: payload.path if payload else None  # type: ignore[method-assign]


def take_file_or_refuse(component: gr.components.Component) -> None:
    """Let a component of an endpoint return the path of an upload; answer any other value with an error message.

    gradio has no message for a text, a number or a list. The description of the endpoint for clients stays the same.
    """
    described = component.api_info()
    component.api_info = lambda: described  # type: ignore[method-assign]
    component.data_model = None

    def preprocess(payload: Any) -> str | None:
        if payload is None:
            return None
        if isinstance(payload, dict) and isinstance(payload.get("path"), str):
            return str(payload["path"])
        raise gr.Error(NO_FILE, print_exception=False)

    component.preprocess = preprocess  # type: ignore[method-assign]


def take_any(component: gr.components.Component) -> None:
    """Let a component of an endpoint pass any value to its handler, which must check the value."""
    component.preprocess = lambda payload: payload  # type: ignore[method-assign]


def store_no_inputs() -> None:
    """Stop gradio from storing unchecked copies of visitors' inputs, which only serve links that are not used here."""
    SessionState._update_value_in_config = lambda *_: None  # type: ignore[method-assign]


def send_whole_values() -> None:
    """Make gradio send each changed output of a generator whole, and not as differences to the message before.

    The client applies the differences to that message itself. If the page has not read it yet, its value is lost. For
    example, a scene followed at once by an unchanged output never reached the viewer.
    """
    gradio.utils.diff = lambda before, now: [] if before == now else [["replace", [], now]]


def send_schemas_once(page: gr.Blocks) -> None:
    """Leave repeated descriptions of components out of the page's config, which every visitor receives.

    Where the descriptions of a component as input and as output are absent, gradio uses its general description.
    """
    whole_config = page.get_config_file

    def get_config_file() -> Any:
        config = whole_config()
        for component in config["components"]:
            for name in ("api_info_as_input", "api_info_as_output"):
                if name in component and component[name] == component["api_info"]:
                    del component[name]
        return config

    page.get_config_file = get_config_file  # type: ignore[method-assign]


def describe_page(title: str, description: str, picture: str, script: str, opening: str) -> None:
    """Replace gradio's own title, description and picture in the page's HTML, and add a script and a first picture.

    Link previews show the title, the description and the picture.

    Args:
        title: The title.
        description: One or two sentences.
        picture: The path of the picture on this server.
        script: The path of a script on this server, which the page loads before its components.
        opening: HTML for the start of the body, which is shown until the page is built.
    """
    environment = gradio.routes.templates.env
    tags = {
        "og:type": "website",
        "og:url": "{{ config['root'] }}/",
        "og:title": escape(title),
        "og:description": escape(description),
        "og:image": "{{ config['root'] }}" + picture,
    }
    head = f'<title>{escape(title)}</title><meta name="description" content="{escape(description)}" />' + "".join(
        f'<meta property="{name}" content="{content}" />' for name, content in tags.items()
    )
    head += '<meta name="twitter:card" content="summary_large_image" />'
    head += f"<script src=\"{{{{ config['root'] }}}}{script}\"></script>"

    first = f"{{% raw %}}{opening}{{% endraw %}}"

    def described(name: str) -> tuple[str, str | None, Callable[[], bool] | None]:
        assert TEMPLATES is not None
        source, path, is_current = TEMPLATES.get_source(environment, name)
        whole = PREVIEW_TAGS.sub("", source).replace("</head>", f"{head}</head>", 1)
        return whole.replace("<gradio-app", f"{first}<gradio-app", 1), path, is_current

    environment.loader = FunctionLoader(described)
    if environment.cache is not None:
        environment.cache.clear()


def serve_behind(wrap: Callable[[ASGIApp], ASGIApp]) -> None:
    """Make the next launch use ``PatientProtocol`` and further middleware.

    The middleware is added in the server, because that of ``app_kwargs`` would run after gradio's own middleware.

    Args:
        wrap: Puts middleware in front of the app.
    """

    def config(app: ASGIApp, **options: Any) -> uvicorn.Config:
        return uvicorn.Config(
            wrap(app), http=PatientProtocol, ws="none", forwarded_allow_ips=trusted_proxies(), **options
        )

    gradio.http_server.uvicorn = SimpleNamespace(Config=config)  # type: ignore[assignment, attr-defined]


def note_progress(upload_id: str, name: str, data: bytes) -> None:
    """Report to the page that sends an upload that ``data`` has arrived."""
    file_upload_statuses.append(upload_id, name, data)


def end_progress(upload_id: str) -> None:
    """Report to the page that an upload has ended, and drop its progress later, after the page has read it."""
    file_upload_statuses.set_done(upload_id)
    asyncio.get_running_loop().call_later(QUIET_ANSWERS, forget_progress, upload_id)


def forget_progress(upload_id: str) -> None:
    """Drop the progress of an upload."""
    file_upload_statuses.stop_tracking(upload_id)
    file_upload_statuses._signals.pop(upload_id, None)
