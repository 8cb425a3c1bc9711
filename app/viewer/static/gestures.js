// Mouse, touch and wheel on the panels and on the overview.

/** Distance of the wheel for one step of the zoom, in CSS pixels; with Ctrl, which a pinch on a trackpad reports. */
const WHEEL_STEP = 40, PINCH_STEP = 16;

/** CSS pixels for one unit of a wheel event's distance, by its `deltaMode`: pixels, lines, pages. */
const WHEEL_UNITS = [1, 20, 400];

/** Time without wheel events after which a new turn of the wheel begins, in ms. */
const WHEEL_PAUSE = 300;

/** Turns gestures into moves of the viewport and of the divider. */
class Gestures {
  /** @type {HTMLElement} */
  #root;
  /** @type {HTMLElement} */
  #grid;
  /** @type {HTMLElement} */
  #overview;
  /** @type {Viewport} */
  #viewport;
  /** @type {Stage} */
  #stage;
  /** @type {() => Viewpoint} */
  #start;
  /** @type {Map<number, { x: number, y: number }>} */
  #pointers = new Map();   // id -> position in the window, of the pointers that hold a panel
  /** @type {Element | null} */
  #grabbed = null;         // the canvas under the first pointer
  /** @type {{ distance: number, zoom: number } | null} */
  #pinch = null;           // distance of two fingers and zoom when the second one touched
  /** @type {number | null} */
  #dividerPointer = null;  // id of the pointer that holds the divider
  #wheel = 0;              // distance turned since the last step
  #wheelAt = -Infinity;    // time of the last wheel event, in ms

  /**
   * @param {HTMLElement} root
   * @param {Viewport} viewport
   * @param {Stage} stage
   * @param {() => Viewpoint} start Returns the first viewpoint of the present scene.
   */
  constructor(root, viewport, stage, start) {
    this.#root = root;
    this.#grid = /** @type {HTMLElement} */ (root.querySelector(".stage"));
    this.#overview = /** @type {HTMLElement} */ (root.querySelector(".overview canvas"));
    this.#viewport = viewport;
    this.#stage = stage;
    this.#start = start;
    this.#listenToPanels();
    this.#listenToOverview();
  }

  #listenToPanels() {
    const grid = this.#grid;
    grid.addEventListener("pointerdown", (event) => this.#press(event));
    grid.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of /** @type {const} */ (["pointerup", "pointercancel", "lostpointercapture"])) {
      grid.addEventListener(name, (event) => this.#release(event.pointerId));
    }
    grid.addEventListener("touchmove", (event) => {
      if (event.touches.length > 1) event.preventDefault();  // two fingers pinch even where one finger scrolls the page
    }, { passive: false });
    grid.addEventListener("wheel", (event) => this.#turn(event), { passive: false });
    grid.addEventListener("dblclick", (event) => {
      // Events of a captured pointer have the grid as their target.
      const canvas = event.target === grid ? this.#grabbed : /** @type {Element} */ (event.target).closest("canvas");
      if (!canvas) return;
      this.#viewport.moveToViewpoint(this.#start());
      this.#stage.redraw();
    });
  }

  #listenToOverview() {
    const overview = this.#overview;
    overview.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      overview.setPointerCapture(event.pointerId);
      this.#moveByOverview(event);
    });
    overview.addEventListener("pointermove", (event) => {
      if (overview.hasPointerCapture(event.pointerId)) this.#moveByOverview(event);
    });
  }

  /** @param {PointerEvent} event */
  #press(event) {
    const target = /** @type {Element} */ (event.target), canvas = target.closest("canvas");
    if (event.button !== 0) return;
    // The grid captures the pointer, because the panel under it may be replaced while it moves.
    if (target.closest(".handle")) {
      this.#dividerPointer = event.pointerId;
      this.#grabbed = null;
      this.#grid.setPointerCapture(event.pointerId);
    } else if (canvas) {
      this.#root.focus({ preventScroll: true });
      this.#grid.setPointerCapture(event.pointerId);
      if (this.#pointers.size === 0) this.#grabbed = canvas;
      this.#pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      this.#pinch = null;
    }
  }

  /** @param {PointerEvent} event */
  #move(event) {
    if (event.pointerId === this.#dividerPointer) {
      this.#moveDivider(event.clientX);
      return;
    }
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    if (event.buttons === 0) {
      this.#pointers.delete(event.pointerId);
      return;
    }
    this.#pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (this.#pointers.size === 1) this.#viewport.panBy(before.x - event.clientX, before.y - event.clientY);
    else if (this.#pointers.size === 2) this.#zoomByPinch();
    this.#stage.redraw();
  }

  /** @param {number} pointerId */
  #release(pointerId) {
    if (pointerId === this.#dividerPointer) this.#dividerPointer = null;
    this.#pointers.delete(pointerId);
  }

  /** @param {number} clientX */
  #moveDivider(clientX) {
    if (!this.#grid.querySelector(".handle")) return;  // another layout was chosen in the meantime
    const { left, width } = this.#stage.box;
    this.#stage.divide((clientX - left) / width);
  }

  #zoomByPinch() {
    const [first, second] = [...this.#pointers.values()];
    const distance = Math.hypot(first.x - second.x, first.y - second.y);
    const { left, top } = this.#grabbed?.isConnected ? this.#grabbed.getBoundingClientRect() : this.#stage.box;
    this.#pinch ??= { distance, zoom: this.#viewport.zoom };
    const wanted = (this.#pinch.zoom * distance) / this.#pinch.distance;
    this.#viewport.zoomNear(wanted, (first.x + second.x) / 2 - left, (first.y + second.y) / 2 - top);
  }

  /**
   * Pan by a horizontal turn, and zoom by a vertical one. Small distances add up to one step. At the fitted zoom, a new
   * turn in the direction of a smaller zoom scrolls the page.
   * @param {WheelEvent} event
   */
  #turn(event) {
    const canvas = /** @type {Element} */ (event.target).closest("canvas");
    if (!canvas) return;
    const unit = WHEEL_UNITS[event.deltaMode] ?? 1, across = event.deltaX * unit, down = event.deltaY * unit;
    const isNew = event.timeStamp - this.#wheelAt > WHEEL_PAUSE;
    if (isNew && down > 0 && !event.ctrlKey && this.#viewport.place.fit) return;
    event.preventDefault();
    this.#wheelAt = event.timeStamp;
    if (Math.abs(across) > Math.abs(down)) this.#viewport.panBy(across, 0);
    else this.#zoomByWheel(down, isNew, event, canvas);
    this.#stage.redraw();
  }

  /**
   * @param {number} down Distance of the turn, in CSS pixels.
   * @param {boolean} isNew Whether a new turn begins.
   * @param {WheelEvent} event
   * @param {Element} canvas
   */
  #zoomByWheel(down, isNew, event, canvas) {
    if (isNew || this.#wheel * down < 0) this.#wheel = 0;
    this.#wheel += down;
    if (Math.abs(this.#wheel) < (event.ctrlKey ? PINCH_STEP : WHEEL_STEP)) return;
    const { left, top } = canvas.getBoundingClientRect();
    this.#viewport.step(this.#wheel < 0 ? 1 : -1, event.clientX - left, event.clientY - top);
    this.#wheel = 0;
  }

  /** @param {PointerEvent} event */
  #moveByOverview(event) {
    const { left, top, width, height } = this.#overview.getBoundingClientRect();
    const across = (event.clientX - left) / width, down = (event.clientY - top) / height;
    this.#viewport.centreOn(across, down);
    this.#stage.redraw();
  }
}
