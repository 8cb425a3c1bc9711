// The buttons, the list of images and the keys.

/** Number keys choose one of the first images. */
const NUMBER_KEYS = 6;

/** Distance by which an arrow key moves the view, as a share of the panel's width. */
const KEY_PAN = 1 / 8;

/** Time for which a button shows its result, in ms. */
const SAID_FOR = 2500;

/** Time after which the buttons fade in fullscreen if the pointer rests, in ms. */
const AWAKE_FOR = 2500;

/** Controls for the viewport, the choice and the stage. They also show the present state. */
class Controls {
  /** @type {HTMLElement} */
  #root;
  /** @type {Viewport} */
  #viewport;
  /** @type {ImageChoice} */
  #choice;
  /** @type {Stage} */
  #stage;
  /** @type {() => void} */
  #rebuild;
  /** @type {() => string} */
  #link;
  /** @type {SceneValue | null} */
  #scene = null;
  #sleepTimer = 0;

  /**
   * @param {HTMLElement} root
   * @param {Viewport} viewport
   * @param {ImageChoice} choice
   * @param {Stage} stage
   * @param {() => void} rebuild Builds the panels after a change of the choice.
   * @param {() => string} link Returns the address that opens the present view.
   */
  constructor(root, viewport, choice, stage, rebuild, link) {
    this.#root = root;
    this.#viewport = viewport;
    this.#choice = choice;
    this.#stage = stage;
    this.#rebuild = rebuild;
    this.#link = link;
    root.addEventListener("keydown", (event) => this.#press(event));
    this.#find(".bar").addEventListener("click", (event) => this.#click(/** @type {Element} */ (event.target)));
    this.#find(".left-choice select").addEventListener("change", (event) => {
      choice.putLeft(/** @type {HTMLSelectElement} */ (event.target).value);
      rebuild();
    });
    this.#find('[data-do="fullscreen"]').hidden = !document.fullscreenEnabled;
    document.addEventListener("fullscreenchange", () => {
      const isFull = document.fullscreenElement === root;
      this.#find('[data-do="fullscreen"]').setAttribute("aria-pressed", String(isFull));
      this.#wake();
      stage.arrange();
    });
    root.addEventListener("pointermove", () => this.#wake());
    root.addEventListener("pointerdown", () => this.#wake());
  }

  /** Show the buttons in fullscreen for a while. */
  #wake() {
    this.#root.classList.add("awake");
    clearTimeout(this.#sleepTimer);
    this.#sleepTimer = window.setTimeout(() => this.#root.classList.remove("awake"), AWAKE_FOR);
  }

  /**
   * Set the scene; call `build` to show it.
   * @param {SceneValue} scene
   */
  setScene(scene) {
    this.#scene = scene;
  }

  /** Show the layout and the images that can be chosen. */
  build() {
    const { layout, images, left, hasScales } = this.#choice;
    this.#find(".hint").textContent = this.#scene?.hint ?? "";
    this.#find('[data-do="link"]').hidden = !this.#scene?.link;
    for (const button of /** @type {NodeListOf<HTMLElement>} */ (this.#root.querySelectorAll("[data-mode]"))) {
      button.setAttribute("aria-pressed", String(button.dataset.mode === layout));
    }
    this.#find('[data-mode="scales"]').hidden = !hasScales;
    this.#find(".chips").replaceChildren(...images.map((image, index) => this.#makeChip(image, index + 1)));
    this.#find(".left-choice").hidden = layout !== "divider";
    this.#find(".left-choice select").replaceChildren(...images.map((image) => {
      const option = /** @type {HTMLOptionElement} */ (make("option", { value: image.key }, image.name));
      option.selected = image.key === left.key;
      return option;
    }));
  }

  /** Show the zoom and the region in view. */
  update() {
    const { magnification, place, region } = this.#viewport, shown = this.#find(".zoom-now");
    shown.textContent = `${Math.round(magnification * 100)} %`;
    shown.title = magnification < 1 ? "" : `1 image pixel = ${magnification} × ${magnification} screen pixels`;
    this.#find(".place").textContent = `${region.width}×${region.height} pixels at ${region.x}, ${region.y}`;
    for (const button of /** @type {NodeListOf<HTMLElement>} */ (this.#root.querySelectorAll("[data-zoom]"))) {
      const isPressed = button.dataset.zoom === "fit" ? place.fit : !place.fit && magnification === 1;
      button.setAttribute("aria-pressed", String(isPressed));
    }
  }

  /**
   * Restore the keyboard's focus after the focused element was replaced.
   * @param {HTMLElement} lost
   */
  restoreFocus(lost) {
    const chips = /** @type {HTMLElement[]} */ ([...this.#root.querySelectorAll(".chips button")]);
    const same = lost.matches(".handle")
      ? /** @type {HTMLElement | null} */ (this.#root.querySelector(".handle"))
      : chips.find((chip) => chip.dataset.key === lost.dataset.key);
    (same ?? this.#root).focus({ preventScroll: true });
  }

  /**
   * Announce a text to screen readers.
   * @param {string} text
   */
  say(text) {
    this.#find(".said").textContent = text;
  }

  /**
   * @param {ImageValue} image
   * @param {number} number
   */
  #makeChip(image, number) {
    const chip = make("button", {
      type: "button", "aria-pressed": String(this.#choice.isOn(image.key)), "data-key": image.key, "data-role": image.role,
    }, make("kbd", {}, number <= NUMBER_KEYS ? `${number} ` : ""), image.name);
    chip.addEventListener("click", () => {
      this.#choice.choose(image.key);
      this.#rebuild();
    });
    return chip;
  }

  /** @param {Element} target */
  #click(target) {
    const button = /** @type {HTMLElement | null} */ (target.closest("button"));
    if (!button || !this.#scene) return;
    const { mode, zoom, step, do: action } = button.dataset;
    if (mode) this.#arrangeAs(/** @type {Layout} */ (mode));
    else if (step) this.#step(Number(step));
    else if (zoom === "fit") this.#fit();
    else if (zoom) this.#zoomTo(1 / pixelRatio());
    else if (action === "fullscreen") this.#toggleFullscreen();
    else if (action === "link") void this.#copyLink(button);
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    const target = /** @type {Element} */ (event.target);
    if (!this.#scene || target.closest("select, input") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === " " && target.closest("button, summary")) return;  // the space key presses the focused button
    const image = /^[1-9]$/.test(event.key) && Number(event.key) <= NUMBER_KEYS && this.#choice.images[Number(event.key) - 1];
    const action = image ? () => this.#showInFront(image) : this.#keys[event.key];
    if (!action) return;
    action();
    event.preventDefault();
  }

  /**
   * The action of each key.
   * @type {Record<string, () => void>}
   */
  #keys = {
    ArrowLeft: () => this.#pan(-1, 0),
    ArrowRight: () => this.#pan(1, 0),
    ArrowUp: () => this.#pan(0, -1),
    ArrowDown: () => this.#pan(0, 1),
    "+": () => this.#step(1),
    "=": () => this.#step(1),
    "-": () => this.#step(-1),
    0: () => this.#fit(),
    " ": () => { this.#choice.flip(); this.#rebuild(); },
    f: () => this.#toggleFullscreen(),
    s: () => this.#arrangeAs("side"),
    d: () => this.#arrangeAs("divider"),
    c: () => this.#choice.hasScales && this.#arrangeAs("scales"),
    r: () => this.#reset(),
  };

  /**
   * @param {number} across
   * @param {number} down
   */
  #pan(across, down) {
    const far = this.#viewport.paneSize.width * KEY_PAN;
    this.#viewport.panBy(across * far, down * far);
    this.#stage.redraw();
  }

  /** @param {number} direction */
  #step(direction) {
    this.#viewport.step(direction);
    this.#stage.redraw();
  }

  /** @param {number} zoom */
  #zoomTo(zoom) {
    this.#viewport.zoomTo(zoom);
    this.#stage.redraw();
  }

  #fit() {
    this.#viewport.fitImage();
    this.#stage.redraw();
  }

  #reset() {
    if (this.#scene) this.#viewport.moveToViewpoint(this.#scene.start);
    this.#stage.redraw();
  }

  /** @param {Layout} layout */
  #arrangeAs(layout) {
    this.#choice.arrange(layout);
    this.#rebuild();
  }

  /** @param {ImageValue} image */
  #showInFront(image) {
    this.#choice.showInFront(image.key);
    this.#rebuild();
  }

  #toggleFullscreen() {
    if (document.fullscreenElement) void document.exitFullscreen();
    else void this.#root.requestFullscreen?.();
  }

  /**
   * Copy the link, or put it into the address bar if the browser does not allow copying.
   * @param {HTMLElement} button
   */
  async #copyLink(button) {
    const link = this.#link(), label = "Copy link";
    try {
      await navigator.clipboard.writeText(link);
      button.textContent = "Copied";
    } catch {
      history.replaceState(null, "", link);
      button.textContent = "Link is in the address bar";
    }
    this.say(button.textContent);
    setTimeout(() => (button.textContent = label), SAID_FOR);
  }

  /**
   * @param {string} selector
   * @returns {HTMLElement}
   */
  #find(selector) {
    return /** @type {HTMLElement} */ (this.#root.querySelector(selector));
  }
}
