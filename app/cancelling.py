"""A job with a Start and a Cancel button, which can be cancelled at any time.

The browser gives each job a random token. The page shows only answers with the token of the present job. The server
stops a job whose token was cancelled, even if the cancellation arrives before the job itself.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component
from pydantic import BaseModel

from app.events import EACH, HEAVY
from app.serving.checks import MALFORMED
from app.status import OFF_JS, ON_JS, SAME_JS, WAITING, status_html

TOKEN = re.compile(r"[0-9a-f]{32}")
"""The form of a job's token."""

MAX_CANCELLED = 4096
"""Largest number of cancelled tokens that are kept. If there are more, the oldest is removed."""

RANDOM_JS = "Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('')"
"""JavaScript that makes a token: 16 random bytes in hexadecimal. ``crypto.randomUUID`` would need HTTPS."""

SAME = {"__type__": "update"}
"""Value of a component in a step that leaves the component unchanged."""

START_JS = f"() => [{json.dumps(WAITING)}, {RANDOM_JS}, {OFF_JS}, {ON_JS}]"


def is_token(sent: object) -> bool:
    """Return whether a visitor's value is a token."""
    return isinstance(sent, str) and TOKEN.fullmatch(sent) is not None


class CancelledTokens:
    """The tokens of cancelled jobs, with a limit on their number."""

    def __init__(self) -> None:
        self._tokens: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, token: str) -> None:
        """Record that the visitor cancelled a job; ignore a text that is not a token."""
        if not is_token(token):
            return
        with self._lock:
            self._tokens[token] = None
            while len(self._tokens) > MAX_CANCELLED:
                self._tokens.popitem(last=False)

    def forget(self, token: str) -> None:
        """Remove a token from the set, because its job has ended."""
        with self._lock:
            self._tokens.pop(token, None)

    def __contains__(self, token: str) -> bool:
        return token in self._tokens


@dataclass(frozen=True)
class Step:
    """What a job shows at one moment.

    Attributes:
        status: HTML of the status line.
        values: New values of the job's outputs, each made by ``new_value``; None leaves the outputs unchanged.
        is_last: Whether the job ends with this step.
    """

    status: str
    values: Sequence[Any] | None = None
    is_last: bool = False


Handler = Callable[..., Generator[Step, None, None]]
"""A job: called with the values of its inputs, it yields its steps. Closing it stops the work."""


def new_value(component: Component, value: Any, **properties: Any) -> dict[str, Any]:
    """Convert a value to the form in which the browser sets it, and make the component visible."""
    converted = component.postprocess(value)  # type: ignore[no-untyped-call]
    stored = converted.model_dump() if isinstance(converted, BaseModel) else converted
    return {"__type__": "update", "value": stored, "visible": True, **properties}


def steps_until_cancelled(
    handler: Handler, cancelled: CancelledTokens, token: str, inputs: Sequence[Any]
) -> Iterator[dict[str, Any]]:
    """Yield the steps of a job for the page, and stop the job as soon as its token is cancelled.

    Args:
        handler: The job.
        cancelled: The cancelled tokens.
        token: The job's token, sent by the visitor.
        inputs: The inputs of the job.

    Raises:
        gr.Error: If ``token`` is not a token, or the job fails before it is cancelled.
    """
    if not is_token(token):
        raise gr.Error(MALFORMED, print_exception=False)
    try:
        with contextlib.closing(handler(*inputs)) as steps:
            while token not in cancelled and (step := next(steps, None)) is not None:
                yield {"token": token, "status": step.status, "values": step.values, "isLast": step.is_last}
    except gr.Error:
        if token not in cancelled:
            raise
    finally:
        cancelled.forget(token)


class JobControls:
    """The buttons and the status line of a job, and its events.

    Create it where the buttons stand; ``add_status`` adds the status line.

    Attributes:
        start: Starts the job; it is off while the job runs.
        cancel: Cancels the job; it is on while the job runs.
    """

    def __init__(self, name: str, label: str, idle: str = "", **button: Any) -> None:
        """Add the buttons.

        Args:
            name: Prefix of the element ids.
            label: Text of the start button.
            idle: The status while no job runs.
            button: Further options of both buttons.
        """
        self._name, self._idle = name, status_html(idle)
        self.start = gr.Button(label, variant="primary", elem_id=f"{name}-start", **button)
        self.cancel = gr.Button("Cancel", interactive=False, elem_id=f"{name}-cancel", **button)

    def add_status(self, **options: Any) -> None:
        """Add the status line, and the hidden components with the token and the latest answer."""
        self._status = gr.HTML(self._idle, elem_id=f"{self._name}-status", **options)
        self._token = gr.Textbox(visible="hidden")  # empty while no job runs
        self._cancelled = gr.Textbox(visible="hidden")  # the token that was cancelled last
        self._answer = gr.HTML(html_template="", visible="hidden")

    def run(self, handler: Handler, inputs: Sequence[Component], outputs: Sequence[Component]) -> None:
        """Run a job when Start is clicked.

        Args:
            handler: The job.
            inputs: Its inputs.
            outputs: The components whose values its steps set.
        """
        self._tokens, self._outputs = CancelledTokens(), list(outputs)

        def stream(token: str, *given: Any) -> Iterator[dict[str, Any]]:
            yield from steps_until_cancelled(handler, self._tokens, token, given)

        shown = [self._status, self._token, self.start, self.cancel]
        # The page runs the events of a click in this order.
        self.start.click(None, None, shown, js=START_JS, **EACH)
        options = {**HEAVY, "trigger_mode": "multiple", "api_name": f"run_{self._name}"}
        running = self.start.click(stream, [self._token, *inputs], self._answer, **options)
        same = ", ".join([SAME_JS] * len(outputs))
        show = f"""(answer, token) => {{
            if (!token || answer?.token !== token) return [{SAME_JS}, {SAME_JS}, {SAME_JS}, {SAME_JS}, {same}];
            const rest = answer.isLast ? ["", {ON_JS}, {OFF_JS}] : [token, {OFF_JS}, {ON_JS}];
            return [answer.status, ...rest, ...(answer.values ?? [{same}])];
        }}"""
        self._answer.change(None, [self._answer, self._token], [*shown, *outputs], js=show, **EACH)
        # A job that fails without a last step, for example because the queue is full, leaves no progress behind. The
        # browser does not know which job has failed: if an older one did, the present one is cancelled.
        settle = f"""(token) => token ? [{json.dumps(self._idle)}, "", {ON_JS}, {OFF_JS}, token]
            : [{SAME_JS}, {SAME_JS}, {SAME_JS}, {SAME_JS}, {SAME_JS}]"""
        running.failure(None, self._token, [*shown, self._cancelled], js=settle, **EACH)
        running.failure(self._tokens.add, self._cancelled, None, queue=False, **EACH)

    def cancel_on(
        self, triggers: Sequence[Callable[..., object]], text: str | None, values: Sequence[str] = ()
    ) -> None:
        """Cancel the running job, if there is one, when an event happens.

        The browser shows this at once. Then it informs the server.

        Args:
            triggers: The events.
            text: The status afterwards, if a job was running; None for the idle status, in any case.
            values: JavaScript of new values of the outputs; none leaves them unchanged.
        """
        status = self._idle if text is None else status_html(text)
        condition = "true" if text is None else "token"
        js = f"""(token) => [{condition} ? {json.dumps(status)} : {SAME_JS}, "", {ON_JS}, {OFF_JS},
            token, {", ".join(values)}]"""
        shown = [self._status, self._token, self.start, self.cancel, self._cancelled, *self._outputs[: len(values)]]
        gr.on(triggers, None, self._token, shown, js=js, **EACH)
        gr.on(triggers, self._tokens.add, self._cancelled, None, queue=False, **EACH)
