"""The choice of layout and images, when the images of the scene change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.helpers.browsing import viewer_scripts

SCENES = """() => {
    const image = (role) => (key) => ({ key, role, shown: !role.endsWith("map") });
    window.images = [
        image("small")("s"), ...["base", "net"].map(image("method")), image("original")("o"), image("error_map")("e"),
    ];
    window.waiting = images.slice(0, 4);  // the map is not computed yet
    window.start = (choices) => ({ layout: "side", front: "", left: "", shown: [], ...choices });
    window.restart = (choices = {}) => {
        window.choice = new ImageChoice();
        choice.open(images, start(choices));
    };
    window.state = () => {
        const panels = choice.panels.map(({ key }) => key).join(" ");
        return [choice.layout, choice.left.key, choice.front.key, panels];
    };
}"""
"""Images with keys that carry no meaning; ``state`` gives the layout, the images left and in front, and the panels."""


@pytest.fixture(scope="module")
def scripts(browser: Browser) -> Iterator[Page]:
    with viewer_scripts(browser, "choice") as page:
        page.evaluate(SCENES)
        yield page


def run(page: Page, script: str, **choices: Any) -> Any:
    """Run JavaScript with a new ``ImageChoice`` that has opened a scene with the given choices of a link."""
    return page.evaluate(f"(choices) => {{ restart(choices); {script} }}", choices)


def test_the_first_two_methods_are_compared(scripts: Page) -> None:
    assert run(scripts, "return state()") == ["side", "base", "net", "s base net o"]


def test_a_link_chooses_layout_and_images(scripts: Page) -> None:
    assert run(scripts, "return state()", layout="divider", front="o", left="e")[:3] == ["divider", "e", "o"]
    assert run(scripts, "return state()", shown=["o", "e", "nothing"])[3] == "o e"
    assert run(scripts, "return state()", layout="single", front="nothing")[:3] == ["single", "base", "net"]


def test_a_link_may_choose_an_image_that_comes_later(scripts: Page) -> None:
    states = run(
        scripts,
        """choice.open(waiting, null); const before = state();
        choice.open(images, null); return [before, state()]""",
        layout="divider",
        front="e",
        left="base",
    )
    assert [state[1:3] for state in states] == [["base", "net"], ["base", "e"]]


def test_a_hidden_image_stays_hidden(scripts: Page) -> None:
    script = (
        "choice.choose('s'); choice.choose('e'); choice.open(waiting, null); choice.open(images, null); return state()"
    )
    assert run(scripts, script)[3] == "base net o e"


def test_one_panel_always_stays(scripts: Page) -> None:
    states = run(
        scripts,
        """choice.choose('e');
        for (const key of ["s", "base", "net", "o", "e"]) choice.choose(key);
        const last = state();
        choice.open(waiting, null); const without = state();
        choice.open(images, null); return [last, without, state()]""",
    )
    assert [panels for *_, panels in states] == ["e", "s base net o", "e"]


def test_the_divider_never_has_one_image_on_both_sides(scripts: Page) -> None:
    states = run(
        scripts,
        """choice.arrange("divider");
        const states = [state()];
        for (const act of [
            () => choice.showInFront("base"),
            () => choice.putLeft("base"),
            () => choice.flip(),
            () => choice.choose("o"),
        ]) { act(); states.push(state()); }
        return states""",
    )
    assert [state[1:3] for state in states] == [
        ["base", "net"],
        ["net", "base"],
        ["base", "net"],
        ["net", "base"],
        ["net", "o"],
    ]
    assert run(scripts, "choice.choose('base'); choice.arrange('divider'); return state()", layout="single")[1:3] == [
        "net",
        "base",
    ]


def test_flipping_changes_between_the_last_two_images(scripts: Page) -> None:
    fronts = run(
        scripts,
        """const fronts = [], flip = () => choice.flip();
        for (const act of [flip, () => choice.showInFront("o"), flip, flip]) { act(); fronts.push(state()[2]); }
        return [choice.layout, ...fronts]""",
    )
    assert fronts == ["single", "net", "o", "net", "o"]


def test_the_link_holds_what_the_layout_shows(scripts: Page) -> None:
    script = """const side = choice.query; choice.arrange("single"); const single = choice.query;
        choice.arrange("divider"); return [side, single, choice.query]"""
    assert run(scripts, script) == [
        {"layout": "side", "shown": "s,base,net,o"},
        {"layout": "single", "front": "net"},
        {"layout": "divider", "front": "net", "left": "base"},
    ]


def test_images_on_display_are_needed_at_once(scripts: Page) -> None:
    needed = "images.filter((image) => choice.needs(image, images)).map(({ key }) => key)"
    assert run(scripts, f"return {needed}") == ["s", "base", "net", "o"]
    assert run(scripts, f"choice.choose('e'); return {needed}") == ["s", "base", "net", "o", "e"]
    assert run(scripts, f"return {needed}", layout="divider") == ["base", "net"]
    assert run(scripts, f"return {needed}", layout="single") == ["net"]
    # The image in front is not in the next scene, so the images that a new visitor sees are needed.
    others = "images.filter(({ key }) => key !== 'net')"
    next_needed = f"{others}.filter((image) => choice.needs(image, {others})).map(({{ key }}) => key)"
    assert run(scripts, f"return {next_needed}", layout="single") == ["s", "base", "o"]
    on = run(scripts, "return images.filter(({ key }) => choice.isOn(key)).map(({ key }) => key)", layout="single")
    assert on == ["net"]
