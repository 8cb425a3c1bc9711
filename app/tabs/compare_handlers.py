"""Handlers of the Compare tab's events."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app.choices import Choice, NewestChoices
from app.engines import PhotoFor, UpscalerFor
from app.figures import store_figure
from app.links import open_link
from app.measurements import parse_viewport
from app.own_results import add_own, rename_own
from app.scene import scene_of
from app.serving.jobs import Job, deadline, errors_for_visitor
from app.session import (
    DEGRADATIONS,
    Session,
    at_every_scale,
    at_scale,
    new_token,
    open_example,
    open_upload,
    with_another_pair,
)
from app.shelf import Shelf
from app.updates import Update, Updates, compute_and_show, until_newer
from app.viewer.component import scene_value
from drn.degrade import CLEAN
from drn.errors import InputError
from drn.evaluation.methods import DRN_PHOTO, Method, builtin_names, drn_photo
from drn.evaluation.pairs import notes_on

SKIP_ALL = (gr.skip(),) * 7
"""Leaves the key, the viewer and the five controls unchanged."""


def names_box(session: Session) -> gr.Textbox:
    """Make an update of the box with the names of the visitor's results; it is hidden if there are none."""
    return gr.Textbox(value="\n".join(session.own.values()), visible=bool(session.own), lines=max(1, len(session.own)))


@dataclass(frozen=True)
class CompareHandlers:
    """Handlers of the tab's events.

    A choice is recorded when it is made, before it enters the queue. The values of the controls cannot be read later,
    because older work sets the controls to its own values while it is shown. Older work ends when a newer choice is
    recorded.

    Attributes:
        photographs: The examples, in the order of the gallery.
        scales: The scales to choose from.
        shelf: Keeps the visitors' sessions.
        upscaler_for: Returns the upscaler for a scale.
        newest: The newest choices of each visitor.
        photo_for: Returns the upscaler with the photo weights for a scale, if there are any.
        further: The methods that the command line added to the built-in ones.
    """

    photographs: tuple[Path, ...]
    scales: tuple[int, ...]
    shelf: Shelf
    upscaler_for: UpscalerFor
    newest: NewestChoices
    photo_for: PhotoFor
    further: tuple[Method, ...] = ()

    def note_example(
        self,
        moment: float,
        every_scale: bool,
        scale: str,
        self_ensemble: bool,
        made: str,
        event: gr.SelectData,
        request: gr.Request,
    ) -> None:
        """Record that the visitor chose an example."""
        if event.index not in range(len(self.photographs)):
            raise gr.Error("There is no such photograph: choose one of those shown.", print_exception=False)
        image = self.photographs[event.index].stem
        self._note(image, moment, every_scale, scale, self_ensemble, made, request)

    def note_upload(
        self,
        moment: float,
        every_scale: bool,
        scale: str,
        self_ensemble: bool,
        made: str,
        path: str,
        request: gr.Request,
    ) -> None:
        """Record that the visitor chose an uploaded photograph."""
        self._note(Path(path), moment, every_scale, scale, self_ensemble, made, request)

    def note_options(
        self, moment: float, every_scale: bool, scale: str, self_ensemble: bool, made: str, request: gr.Request
    ) -> None:
        """Record that the visitor chose options: scale, DRN+, degradation, or all scales at once."""
        self._note(None, moment, every_scale, scale, self_ensemble, made, request)

    def show_image(self, key: str | None, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Show the image that the visitor chose last. Its session replaces the one with this ``key``."""
        yield from self._show(self.newest.image_of(str(request.session_hash)), key, request)

    def show_options(self, key: str | None, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Apply the options that the visitor chose last to the session with this ``key``, and show it."""
        yield from self._show(self.newest.options_of(str(request.session_hash)), key, request)

    def show_link(self, moment: float, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Show the image and the options that the page's address contains."""
        with errors_for_visitor():
            session = open_link(dict(request.query_params), self.photographs, self.scales)
        yield from self._until_newer(self._compute_and_show(session, None), moment, request)

    def compute_anew(
        self, moment: float, key: str | None, weights_key: str, request: gr.Request
    ) -> Iterator[tuple[Any, ...]]:
        """Show the same comparison with other weights."""
        yield from self._until_newer(self._compute_anew(key, weights_key), moment, request)

    def resume(
        self, moment: float, every_scale: bool, key: str | None, request: gr.Request
    ) -> Iterator[tuple[Any, ...]]:
        """Continue work that was stopped by a choice that failed."""
        session = self._find(key, every_scale)
        if session is None or session.settled:
            yield SKIP_ALL  # gradio would set every output to None if this generator yielded nothing
        else:
            yield from self._until_newer(self._compute_and_show(session, key), moment, request)

    def give_up(self, every_scale: bool, key: str | None) -> Update:
        """Mark the missing results as failed, so that the viewer no longer waits for them."""
        session = self._find(key, every_scale)
        if session is None or session.settled:
            return gr.skip(), gr.skip()
        session = replace(session, failed=True)
        with errors_for_visitor():
            return self.shelf.put(session, key), scene_value(scene_of(session))

    def add_own(self, key: str | None, path: str | None) -> Iterator[tuple[Any, ...]]:
        """Add an uploaded image, the result of another method, to the visitor's comparison."""
        with errors_for_visitor():
            if path is None:
                raise InputError("Choose an image first.")
            adding = Job(add_own(self.shelf.get(key), path, deadline()))
            for _ in adding:
                yield gr.skip(), gr.skip(), gr.skip()
            shown = self._put(adding.result, key)
        yield shown

    def rename_own(self, key: str | None, names: str | None) -> tuple[Any, ...]:
        """Rename the results that the visitor added, or remove them all if no name is given."""
        with errors_for_visitor():
            session, lines = self.shelf.get(key), (names or "").strip().splitlines()
            if not session.own or lines == list(session.own.values()):
                return gr.skip(), gr.skip(), gr.skip()
            return self._put(rename_own(session, lines), key)

    def _put(self, session: Session, key: str | None) -> tuple[str, Any, gr.Textbox]:
        """Store a session, and return what the page then shows.

        Returns:
            The session's key, the viewer's value, and an update of the box with the names of the visitor's results.
        """
        value = scene_value(scene_of(session))
        return self.shelf.put(session, key), value, names_box(session)

    def controls_of(self, key: str | None) -> tuple[Any, ...]:
        """Return updates that set the controls to the session's values, or leave them unchanged without a session.

        Returns:
            Updates of scale, DRN+, gallery, the names of the visitor's results, and the way to make the small picture.
        """
        session = self.shelf.find(key)
        if session is None:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip(), gr.skip()
        names = [path.stem for path in self.photographs]
        index = names.index(session.name) if session.name in names else None
        scale = gr.Radio(value=str(session.pairs[0].scale))
        plus, gallery = gr.Checkbox(value=session.self_ensemble), gr.Gallery(selected_index=index)
        return scale, plus, gallery, names_box(session), gr.Radio(value=session.made)

    def figure_drawer(self, suffix: str) -> Callable[[str | None, str], str]:
        """Return a handler that stores the figure of the region in view as a file, and returns its path.

        Args:
            suffix: Suffix of the file, one of ``SUFFIXES``.
        """

        def draw_figure(key: str | None, seen: str) -> str:
            with errors_for_visitor():
                try:
                    token, hr_rect = parse_viewport(json.loads(seen))
                except (ValueError, TypeError, AttributeError, RecursionError) as error:
                    raise InputError("The images have just changed: request the figure again.") from error
                session = self.shelf.shown(key, token)
                if session is None:
                    raise InputError("The images have just changed: request the figure again.")
                return store_figure(session, hr_rect, suffix)

        return draw_figure

    def _find(self, key: str | None, every_scale: bool) -> Session | None:
        """Return the session with this key, for the scales that the page shows now."""
        session = self.shelf.find(key)
        if session is None:
            return None
        session = replace(session, scales=self.scales, every_scale=every_scale)
        return at_every_scale(session) if every_scale else session

    def _note(
        self,
        image: str | Path | None,
        moment: float,
        every_scale: bool,
        scale: str,
        self_ensemble: bool,
        made: str,
        request: gr.Request,
    ) -> None:
        moment = float(moment)  # fails if a request contains no number
        choice = Choice(image, int(scale), self_ensemble, moment, DEGRADATIONS[made], bool(every_scale))
        self.newest.note(str(request.session_hash), choice)

    def _show(self, choice: Choice | None, key: str | None, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        if choice is None:  # too many other visitors have chosen something since
            raise gr.Error("The server no longer has this choice: choose again.", print_exception=False)
        yield from self._until_newer(self._show_choice(choice, key), choice.moment, request)

    def _until_newer(self, updates: Updates, moment: float, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        visitor = str(request.session_hash)

        def is_outdated(is_shown: bool) -> bool:
            # An image that is being opened must be shown first, because a newer scale applies to that image.
            has_newer = self.newest.has_newer if is_shown else self.newest.has_newer_image
            return has_newer(visitor, moment)

        yield from until_newer(updates, self.controls_of, is_outdated)

    def _compute_and_show(self, session: Session, key: str | None, ends: float | None = None) -> Updates:
        scale = session.pairs[0].scale
        photo = None if session.degradation == CLEAN else self.photo_for(scale)
        tuned = () if photo is None else (drn_photo(photo),)
        further = (*tuned, *at_scale(self.further, scale))
        session = replace(session, further=further, scales=self.scales)
        if session.every_scale:
            session = at_every_scale(session)
        return compute_and_show(session, self.shelf, key, self.upscaler_for, session.self_ensemble, ends)

    def _show_choice(self, choice: Choice, key: str | None) -> Updates:
        ends = deadline()
        with errors_for_visitor():
            if isinstance(choice.image, Path):
                opening = Job(open_upload(str(choice.image), choice.scale, ends, choice.degradation))
                for _ in opening:
                    yield gr.skip(), gr.skip()
                session = opening.result
            else:
                session = self._session_for(choice, key)
        if isinstance(choice.image, Path):
            for note in notes_on(session.picture):
                gr.Info(escape(note))
        # The viewer waits for a scene with a new token, even if the images are the same.
        session = replace(
            session, self_ensemble=choice.self_ensemble, every_scale=choice.every_scale, token=new_token()
        )
        yield from self._compute_and_show(session, key, ends)

    def _session_for(self, choice: Choice, key: str | None) -> Session:
        """Open an example, or keep the present image.

        Args:
            choice: The choice; its image is not an uploaded file.
            key: Key of the present session.

        Raises:
            InputError: If the present image is no longer on the server, or the example cannot be read.
        """
        shown = self.shelf.get(key) if choice.image is None else self.shelf.find(key)
        if shown is None or choice.image not in (None, shown.name):
            (path,) = (path for path in self.photographs if path.stem == choice.image)
            return open_example(path, choice.scale, choice.degradation)
        if (shown.pairs[0].scale, shown.degradation) == (choice.scale, choice.degradation):
            return shown  # with its results and its viewpoint
        return with_another_pair(shown, choice.scale, choice.degradation)

    def _compute_anew(self, key: str | None, weights_key: str) -> Updates:
        with errors_for_visitor():
            session = self.shelf.get(key)
            if key == Shelf.FIRST and self.shelf.weights_key == weights_key:
                yield key, scene_value(scene_of(session))
                return
        ours = (*builtin_names(self_ensemble=True), DRN_PHOTO)
        results = {of: result for of, result in session.results.items() if of[1] not in ours}
        updates = self._compute_and_show(replace(session, results=results, token=new_token()), key)
        own_key, first = next(updates)
        yield own_key, first
        for update in updates:
            done = self.shelf.find(own_key)
            if key == Shelf.FIRST and done and done.settled and not done.failed:
                self.shelf.renew(done, weights_key)  # before the last update, after which the visitor may leave
            yield update
