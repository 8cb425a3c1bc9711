// Choosing a region on the panels by mouse, touch and keys, and the frames that show it.

/** Least length of a drag that chooses a region, in CSS pixels. A shorter one is a click. */
const LEAST_DRAG = 3;

/** Distance by which an arrow key moves the region, in HR pixels: alone, and with the shift key. */
const MOVE_BY = 1, MOVE_FAR_BY = 10;

/** Directions of the arrow keys, as [x, y]. */
const DIRECTIONS = new Map(/** @type {[string, [number, number]][]} */ ([
  ["ArrowLeft", [-1, 0]], ["ArrowRight", [1, 0]], ["ArrowUp", [0, -1]], ["ArrowDown", [0, 1]],
]));

/**
 * A pointer that draws a region: the position of its panel and of its first point in the window, the pixel at that
 * point, the region before, and whether the pointer has moved far enough.
 * @typedef {Object} Drag
 * @property {number} id
 * @property {DOMRect} panel
 * @property {{ x: number, y: number }} point
 * @property {{ x: number, y: number }} pixel
 * @property {Region | null} before
 * @property {boolean} isDrag
 */

/** Turns drags and keys into a chosen region, and draws its frame on the panels and on the overview. */
class RegionPicking {
  /** @type {HTMLElement} */
  #root;
  /** @type {HTMLElement} */
  #grid;
  /** @type {Viewport} */
  #viewport;
  /** @type {ChosenRegion} */
  #chosen;
  /** @type {() => void} */
  #onChange;
  #isTool = false;
  /** Whether a region can be chosen: only the numbers use it, and they need an original. */
  isEnabled = true;
  /** @type {Drag | null} */
  #drag = null;

  /**
   * @param {HTMLElement} root
   * @param {Viewport} viewport
   * @param {ChosenRegion} chosen
   * @param {() => void} onChange Called after each change of the region or of the tool.
   */
  constructor(root, viewport, chosen, onChange) {
    this.#root = root;
    this.#grid = /** @type {HTMLElement} */ (root.querySelector(".stage"));
    this.#viewport = viewport;
    this.#chosen = chosen;
    this.#onChange = onChange;
    // The events are handled before they reach the listeners that pan the view.
    const early = { capture: true };
    this.#grid.addEventListener("pointerdown", (event) => this.#press(event), early);
    this.#grid.addEventListener("pointermove", (event) => this.#move(event), early);
    this.#grid.addEventListener("pointerup", (event) => this.#release(event), early);
    this.#grid.addEventListener("pointercancel", (event) => this.#cancel(event), early);
    root.addEventListener("keydown", (event) => this.#type(event), early);
  }

  /** Whether the next drag chooses a region. */
  get isTool() {
    return this.#isTool;
  }

  set isTool(isTool) {
    this.#isTool = isTool;
    this.#root.classList.toggle("picking", isTool);
    this.#onChange();
  }

  /** Draw the frame of the region on each panel and on the overview; call this after each drawing of the panels. */
  draw() {
    const { region } = this.#chosen;
    for (const pane of /** @type {NodeListOf<HTMLElement>} */ (this.#grid.querySelectorAll(".pane"))) {
      RegionPicking.#placeFrame(pane, region && this.#viewport.boxOf(region));
    }
    const canvas = /** @type {HTMLElement} */ (this.#root.querySelector(".overview canvas"));
    const { width, height } = this.#viewport.imageSize;
    const across = canvas.offsetWidth / width, down = canvas.offsetHeight / height;
    RegionPicking.#placeFrame(/** @type {HTMLElement} */ (canvas.parentElement), region && {
      left: canvas.offsetLeft + region.x * across, top: canvas.offsetTop + region.y * down,
      width: region.width * across, height: region.height * down,
    });
  }

  /**
   * @param {HTMLElement} parent
   * @param {{ left: number, top: number, width: number, height: number } | null} box In CSS pixels; null for no frame.
   */
  static #placeFrame(parent, box) {
    const layer = parent.querySelector(".region-layer");
    if (!box) {
      layer?.remove();
      return;
    }
    const drawn = layer ?? make("div", { class: "region-layer" }, make("div", { class: "region-frame", "data-testid": "frame" }));
    if (!layer) parent.append(drawn);
    const { style } = /** @type {HTMLElement} */ (drawn.firstElementChild);
    for (const side of /** @type {const} */ (["left", "top", "width", "height"])) style[side] = `${box[side]}px`;
  }

  /** @param {PointerEvent} event */
  #press(event) {
    const canvas = /** @type {Element} */ (event.target).closest(".pane canvas");
    if (this.#drag) event.stopPropagation();  // a second finger
    const isWanted = this.isEnabled && (event.shiftKey || this.#isTool);
    if (this.#drag || !canvas || event.button !== 0 || !isWanted) return;
    event.stopPropagation();
    event.preventDefault();
    this.#root.focus({ preventScroll: true });
    this.#grid.setPointerCapture(event.pointerId);
    const panel = canvas.getBoundingClientRect(), point = { x: event.clientX, y: event.clientY };
    const pixel = this.#pixelAt(panel, point);
    this.#drag = { id: event.pointerId, panel, point, pixel, before: this.#chosen.region, isDrag: false };
  }

  /** @param {PointerEvent} event */
  #move(event) {
    if (!this.#drag) return;
    event.stopPropagation();
    if (event.pointerId !== this.#drag.id) return;
    const { panel, point, pixel } = this.#drag, end = { x: event.clientX, y: event.clientY };
    if (Math.hypot(end.x - point.x, end.y - point.y) >= LEAST_DRAG) this.#drag.isDrag = true;
    if (!this.#drag.isDrag) return;
    this.#chosen.choose(regionBetween(pixel, this.#pixelAt(panel, end)));
    this.#onChange();
  }

  /** @param {PointerEvent} event */
  #release(event) {
    if (event.pointerId !== this.#drag?.id) return;
    this.#move(event);
    const { isDrag } = this.#drag;
    this.#drag = null;
    if (isDrag) this.isTool = false;
  }

  /** @param {PointerEvent} event */
  #cancel(event) {
    if (event.pointerId !== this.#drag?.id) return;
    this.#chosen.choose(this.#drag.before);
    this.#drag = null;
    this.#onChange();
  }

  /** @param {KeyboardEvent} event */
  #type(event) {
    const target = /** @type {Element} */ (event.target), direction = DIRECTIONS.get(event.key);
    if (event.ctrlKey || event.metaKey || event.altKey || target.closest("input, select, .handle")) return;
    if (event.key === "Escape" && this.#isTool) this.isTool = false;
    if (!direction || !this.#chosen.region) return;
    event.stopPropagation();
    event.preventDefault();
    const far = event.shiftKey ? MOVE_FAR_BY : MOVE_BY;
    this.#chosen.move(direction[0] * far, direction[1] * far);
    this.#viewport.reveal(this.#chosen.region);
    this.#onChange();
  }

  /**
   * The pixel of the image at a point of the window.
   * @param {DOMRect} panel
   * @param {{ x: number, y: number }} point
   */
  #pixelAt(panel, { x, y }) {
    return this.#viewport.pixelAt(x - panel.left, y - panel.top);
  }
}
