"""The Compare tab: one photograph at one scale, every method beside the ground truth."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import gradio as gr

from app.engines import Engine
from app.jobs import Job, deadline, store_result, told_to_visitor
from app.session import (
    TOKEN,
    Session,
    compute,
    examples,
    new_token,
    numbers,
    open_example,
    open_link,
    open_upload,
    scene,
    thumbnail,
)
from app.shelf import Shelf
from app.uploads import path_of
from app.viewer import busy_js, numbers_for, scene_value, viewer
from drn.compare import clip, make_pair, notes_on
from drn.errors import InputError
from drn.figure import figure
from drn.image import replace_file
from drn.inference import Region

PROTOCOL = (
    "PSNR and SSIM as [in the literature](https://arxiv.org/abs/1907.02843): Y channel of BT.601 YCbCr, `crop_border` "
    "= scale, LR by MATLAB's antialiased bicubic."
)

QUIET: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", "api_visibility": "private"}
"""Options of events that answer on the page alone. One that waits is asked again with the inputs of that moment."""

EACH: dict[str, Any] = {**QUIET, "trigger_mode": "multiple"}
"""Options of quick events that carry data of their own: gradio would ask those that wait again with the first one's."""

HEAVY: dict[str, Any] = {**QUIET, "concurrency_id": "heavy"}
"""Options of events that run the network: they share one queue."""

BUSY, NOT_BUSY = busy_js("viewer", True), busy_js("viewer", False)

SEEN = "(key) => [key, document.querySelector('#viewer .viewer').dataset.seen]"
"""Add what the viewer shows, as [token, region]."""

MAX_COORDINATE = 1_000_000
"""Largest coordinate or side of a region, in HR pixels."""

Shown = Iterator[tuple[Any, ...]]
"""Values for the session's key and the viewer, better ones replacing the first."""


def sent_js(before: str = "") -> str:
    """JavaScript that makes the moment at which an event is sent, in ms, its first input."""
    return f"(_, ...rest) => {{ {before} return [performance.now(), ...rest]; }}"


@dataclass
class Latest:
    """What a visitor chose last. It is told beside the queue, as it was when it was chosen.

    The controls cannot be asked later: older work that is shown meanwhile sets them to what it shows.

    Attributes:
        scale: The scale asked for.
        plus: Whether DRN+ was asked for.
        chosen: The moment, in ms by the page's clock.
    """

    scale: str
    plus: bool = False
    chosen: float = 0.0


def giving_way(work: Callable[..., Shown], controls: Callable[[str | None], tuple[Any, ...]]) -> Callable[..., Shown]:
    """``work`` as the handler of an event whose first inputs are ``sent_js``'s moment and a ``Latest``.

    It is left off when the visitor has chosen something since.

    Args:
        controls: What to set the controls to for a session's key: they say what is shown.
    """

    def handler(sent: float, latest: Latest, *values: Any) -> Shown:
        told = False
        for key, value in work(*values):
            tell = isinstance(key, str) and not told and latest.chosen <= sent
            yield key, value, *controls(key if tell else None)
            if latest.chosen > sent:
                return
            told = told or tell

    return handler


def show(
    session: Session, shelf: Shelf, key: str | None, engine: Engine, plus: bool, ends: float | None = None
) -> Shown:
    """The session as it is, then again as each result is known; it takes the place of what ``key`` names.

    Args:
        ends: When to give up; the ``deadline()`` of this moment if None.
    """
    session = replace(session, plus=plus, failed=False)
    with told_to_visitor():
        value = scene_value(scene(session))
        key = shelf.put(session, key)
        try:
            yield key, value
            for computed in compute(session, engine, plus, ends):
                if computed is None:
                    yield gr.skip(), gr.skip()
                else:
                    value, session = scene_value(scene(computed)), computed  # what cannot be stored is not shown
                    yield shelf.put(session, key), value
        except Exception:
            session = replace(session, failed=True)
            yield shelf.put(session, key), scene_value(scene(session))
            raise


def measure_view(panels: gr.HTML, shelf: Shelf, state: gr.State) -> None:
    """Let a viewer's ``viewport`` event be answered with the numbers of the region in view."""

    def measure(event: gr.EventData, key: str | None) -> Any:
        seen = event._data or {}
        with told_to_visitor():
            token, region = checked_token(seen.get("token")), region_of(seen)
        if session := shelf.shown(key, token):
            return gr.HTML(numbers=numbers(session, region))
        # Put away: without an answer the viewer would go on asking. Else newer images are on their way to it.
        return gr.HTML(numbers=numbers_for(token, region, [])) if shelf.find(key) is None else gr.skip()

    panels.viewport(measure, [state], [panels], concurrency_limit=2, **EACH)


def checked_token(token: object) -> str:
    """The token that a viewer sends of the images that it shows.

    Raises:
        InputError: If it has not the form of ``new_token``.
    """
    if not isinstance(token, str) or not TOKEN.fullmatch(token):
        raise InputError("The images are just changing: ask once more.")
    return token


def parse_seen(seen: str) -> tuple[str, Region]:
    """The token and the region of ``SEEN``, which is JSON.

    Raises:
        InputError: If it is not.
    """
    try:
        token, region = json.loads(seen)
        return checked_token(token), region_of(region)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError("The images are just changing: ask for the figure once more.") from error


def region_of(seen: Mapping[str, Any]) -> Region:
    """The region that a viewer says it shows.

    Raises:
        InputError: If it is none: four numbers in HR pixels, at most ``MAX_COORDINATE`` each way.
    """
    values = [seen.get(name) for name in ("x", "y", "width", "height")]
    numbers = [value for value in values if isinstance(value, (int, float)) and abs(value) <= MAX_COORDINATE]
    if len(numbers) < len(values):
        raise InputError("The region is not one of these images: ask once more.")
    return Region(*map(int, numbers))


def draw_figure(session: Session, region: Region) -> str:
    """Store the figure of a region; returns the file's path."""
    pair = session.pairs[0]
    results = {method: result for (_, method), result in session.results.items() if method in session.shown}
    drawn = figure(pair, results, clip(region, pair))
    save = functools.partial(drawn.save, format="PNG")
    name = f"{session.name or 'image'}_x{pair.scale}_figure.png"
    return str(store_result(name, lambda path: replace_file(path, save)))


def compare_tab(page: gr.Blocks, engine: Engine, scales: list[int], in_use: gr.State) -> tuple[Shelf, gr.State]:
    """Lay out the tab; its first comparison is computed here, so that it is in the page as it loads.

    Args:
        in_use: Tells which weights are in use; when it changes the comparison is computed anew.

    Returns:
        Where sessions are kept, and the key of this visitor's, for the tabs that look at the same photograph.
    """
    scale, photographs = max(scales), examples()
    *_, session = filter(None, compute(open_example(photographs[0], scale), engine, plus=False))

    shelf = Shelf(session, in_use.value)
    # gradio forgets the states of a visitor who was away for an hour: none is then not the first comparison.
    state = gr.State(None, delete_callback=shelf.drop)
    page.load(lambda: Shelf.FIRST, None, state, queue=False, **QUIET)
    gallery = gr.Gallery(
        [(thumbnail(path), path.stem.replace("-", " ")) for path in photographs],
        label="Photographs",
        show_label=False,
        elem_id="examples",
        columns=len(photographs),
        height=116,
        object_fit="cover",
        allow_preview=False,
        selected_index=0,
        format="jpeg",
        buttons=[],
    )
    with gr.Row(equal_height=True):
        scale_radio = gr.Radio(
            [(f"x{s}", str(s)) for s in scales], value=str(scale), label="Scale", elem_id="scale", min_width=200
        )
        plus_box = gr.Checkbox(label="DRN+ too: 8 passes, averaged", elem_id="plus", min_width=200)
        upload = gr.UploadButton("Upload or paste", file_types=["image"], size="sm", elem_id="upload", min_width=200)
    upload.preprocess = path_of  # type: ignore[method-assign]
    panels = viewer(scene(session), "viewer")
    with gr.Row():
        draw = gr.Button("Figure of this region", size="sm", elem_id="figure", min_width=200)
        drawn = gr.DownloadButton("Download", visible="hidden", elem_id="figure-file")
    chosen, latest = gr.State((0, "")), gr.State(Latest(str(scale)))
    sent, seen = gr.Number(visible=False), gr.Textbox(visible=False)
    restoring = gr.Button(visible="hidden", elem_id="restore")
    gr.Markdown(PROTOCOL, elem_classes="note")

    outputs, controls = [state, panels], [scale_radio, plus_box, gallery]

    def choose_example(event: gr.SelectData) -> tuple[int, str]:
        if event.index not in range(len(photographs)):
            raise gr.Error("There is no such photograph: choose one of those shown.", print_exception=False)
        return int(event.index), new_token()  # the same one again is a choice too

    def show_example(choice: tuple[int, str], key: str | None, latest: Latest) -> Shown:
        path, scale = photographs[choice[0]], int(latest.scale)
        session = shelf.find(key)
        with told_to_visitor():
            if session is None or (session.name, session.pairs[0].scale) != (path.stem, scale):
                session = open_example(path, scale)
        # The same one, of a second click, keeps its results and the place that is looked at.
        yield from show(replace(session, token=new_token()), shelf, key, engine, latest.plus)

    def show_upload(path: str, key: str | None, latest: Latest) -> Shown:
        with told_to_visitor():
            ends = deadline()
            opening = Job(open_upload(path, int(latest.scale), ends))
            for _ in opening:
                yield gr.skip(), gr.skip()
        session = opening.result
        for note in notes_on(session.picture):
            gr.Info(escape(note))
        yield from show(session, shelf, key, engine, latest.plus, ends)

    def restore(sent: float, latest: Latest, request: gr.Request) -> Shown:
        with told_to_visitor():
            session = open_link(dict(request.query_params), photographs, scales)
        yield from choice(functools.partial(show, session, shelf, None, engine, session.plus))(sent, latest)

    def change_scale(key: str | None, latest: Latest) -> Shown:
        with told_to_visitor():
            session = shelf.get(key)
            if session.pairs[0].scale != int(latest.scale):
                pair = make_pair(session.picture, int(latest.scale))
                session = Session(session.picture, session.picture_token, (pair,), name=session.name)
        # Even the same images are a new scene, which ends the wait.
        yield from show(replace(session, token=new_token()), shelf, key, engine, latest.plus)

    def change_plus(key: str | None, latest: Latest) -> Shown:
        with told_to_visitor():
            session = shelf.get(key)
        yield from show(replace(session, token=new_token()), shelf, key, engine, latest.plus)

    def compute_anew(key: str | None, used: str) -> Shown:
        with told_to_visitor():
            session = shelf.get(key)
            if key == Shelf.FIRST and shelf.made_with == used:
                yield key, scene_value(scene(session))
                return
        shown = show(replace(session, results={}, token=new_token()), shelf, key, engine, session.plus)
        own, opened = next(shown)
        yield own, opened
        yield from shown
        done = shelf.find(own)
        if key == Shelf.FIRST and done and done.settled:
            shelf.renew(done, used)

    def go_on(key: str | None) -> Shown:
        session = shelf.find(key)
        if session is None or session.settled:
            yield gr.skip(), gr.skip()
        else:
            yield from show(session, shelf, key, engine, session.plus)

    def give_up(key: str | None) -> tuple[Any, Any]:
        session = shelf.find(key)
        if session is None or session.settled:
            return gr.skip(), gr.skip()
        session = replace(session, failed=True)
        with told_to_visitor():
            return shelf.put(session, key), scene_value(scene(session))

    def note_choice(moment: float, latest: Latest, scale: str, plus: bool) -> None:
        if moment >= latest.chosen:
            latest.scale, latest.plus, latest.chosen = scale, plus, moment

    def controls_of(key: str | None) -> tuple[Any, Any, Any]:
        session = shelf.find(key)
        if session is None:
            return (gr.skip(),) * 3
        names = [path.stem for path in photographs]
        index = names.index(session.name) if session.name in names else None
        scale = gr.Radio(value=str(session.pairs[0].scale))
        return scale, gr.Checkbox(value=session.plus), gr.Gallery(selected_index=index)

    choice = functools.partial(giving_way, controls=controls_of)

    def store_figure(key: str | None, seen: str) -> str:
        with told_to_visitor():
            token, region = parse_seen(seen)
            session = shelf.shown(key, token)
            if session is None:
                raise InputError("The images are just changing: ask for the figure once more.")
            return draw_figure(session, region)

    asked = [gallery.select, upload.upload, scale_radio.input, plus_box.input]
    # Before the events that do the work, as the page sends them one after another.
    noted = [sent, latest, scale_radio, plus_box]
    gr.on(asked, note_choice, noted, None, js=sent_js(BUSY), queue=False, **EACH)
    # All are sent at once, and served in their order: what waits on the page is sent later as if it were chosen then.
    computing: dict[str, Any] = {**HEAVY, "trigger_mode": "multiple", "outputs": [*outputs, *controls], "js": sent_js()}
    for event in (
        gallery.select(choose_example, None, chosen, **EACH),
        chosen.change(choice(show_example), [sent, latest, chosen, state, latest], **computing),
        upload.upload(choice(show_upload), [sent, latest, upload, state, latest], **computing),
        scale_radio.input(choice(change_scale), [sent, latest, state, latest], **computing),
        plus_box.input(choice(change_plus), [sent, latest, state, latest], **computing),
    ):
        # What a choice has stopped goes on if the choice fails, unless the queue is full.
        ended = {"js": f"(key) => {{ {NOT_BUSY} return [key]; }}", "queue": False, **EACH}
        event.failure(controls_of, state, controls, **ended)
        going_on = event.failure(choice(go_on), [sent, latest, state], **computing)
        going_on.failure(give_up, state, outputs, queue=False, **EACH)
    in_use.change(choice(compute_anew), [sent, latest, state, in_use], **computing)
    measure_view(panels, shelf, state)
    draw.click(store_figure, [state, seen], drawn, js=SEEN, **QUIET).success(
        None, js="() => document.querySelector('#figure-file')?.click()", api_visibility="private"
    )
    restored = restoring.click(restore, [sent, latest], [*outputs, *controls], js=sent_js(BUSY), **HEAVY)
    restored.failure(None, js=f"() => {{ {NOT_BUSY} }}", api_visibility="private")
    # A visit without a link asks for nothing: it would wait behind, and count among, those who compute.
    has_link = "new URLSearchParams(location.search).has('image')"
    page.load(None, js=f"() => {{ if ({has_link}) document.querySelector('#restore').click(); }}")
    return shelf, state
