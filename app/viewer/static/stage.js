// The panels with their canvases, and the overview: building, arranging and drawing them.

/** Least width of a panel, least width in a narrow stage, and the width below which a stage is narrow; in CSS pixels. */
const MIN_PANEL = 220, MIN_PANEL_NARROW = 130, NARROW_STAGE = 600;

/** In CSS pixels: space between two panels, least height of a panel, longest side of the overview, and in a narrow stage. */
const GAP = 2, MIN_HEIGHT = 150, OVERVIEW_SIDE = 128, OVERVIEW_SIDE_NARROW = 96;

/** Space around an overview that has its own place, in CSS pixels. */
const OVERVIEW_MARGIN = 12;

/** Longest side of the overview, as a share of a panel's shorter side. */
const OVERVIEW_SHARE = 0.4;

/** Device pixels for one CSS pixel. */
const pixelRatio = () => window.devicePixelRatio || 1;

/** The longest grid step that `gridStep` tries, in CSS pixels. */
const MAX_STEP = 10;

/**
 * The least number of CSS pixels that is a whole number of device pixels. Lengths that are multiples of it are whole in
 * both units, because some browsers round positions to CSS pixels. Without such a number, it is one device pixel.
 * @param {number} ratio Device pixels for one CSS pixel.
 */
function gridStep(ratio) {
  for (let step = 1; step <= MAX_STEP; step++) {
    if (Math.abs(step * ratio - Math.round(step * ratio)) < 0.01) return step;
  }
  return 1 / ratio;
}

/** Draws the images of a scene. */
class Stage {
  /** @type {HTMLElement} */
  #root;
  /** @type {HTMLElement} */
  #frame;
  /** @type {HTMLElement} */
  #grid;
  /** @type {HTMLElement} */
  #whole;
  /** @type {HTMLCanvasElement} */
  #overview;
  /** @type {Viewport} */
  #viewport;
  /** @type {ImageChoice} */
  #choice;
  /** @type {() => void} */
  #onDrawn;
  /** @type {SceneValue | null} */
  #scene = null;
  /** @type {Map<string, HTMLImageElement>} */
  #bitmaps = new Map();
  #divider = 0.5;  // share of a panel's width to the left of the divider
  /** @type {{ width: number, height: number } | null} */
  #overviewSide = null;  // the largest size of an overview that has its own place, in CSS pixels
  #ratio = 1;      // device pixels for one CSS pixel when the panels were arranged
  #request = 0;    // the animation frame that draws

  /**
   * @param {HTMLElement} root
   * @param {Viewport} viewport
   * @param {ImageChoice} choice
   * @param {() => void} onDrawn Called after each drawing.
   */
  constructor(root, viewport, choice, onDrawn) {
    this.#root = root;
    this.#frame = /** @type {HTMLElement} */ (root.querySelector(".frame"));
    this.#grid = /** @type {HTMLElement} */ (root.querySelector(".stage"));
    this.#whole = /** @type {HTMLElement} */ (root.querySelector(".whole"));
    this.#overview = /** @type {HTMLCanvasElement} */ (root.querySelector(".overview canvas"));
    this.#viewport = viewport;
    this.#choice = choice;
    this.#onDrawn = onDrawn;
  }

  /**
   * Set the images of a scene; call `build` to show them.
   * @param {SceneValue} scene
   * @param {Map<string, HTMLImageElement>} bitmaps Decoded images by key; more may be added later.
   */
  setScene(scene, bitmaps) {
    this.#scene = scene;
    this.#bitmaps = bitmaps;
  }

  /** Position and size of the first panel's canvas in the window, in CSS pixels. */
  get box() {
    return /** @type {HTMLElement} */ (this.#grid.querySelector("figure:not([hidden]) canvas")).getBoundingClientRect();
  }

  /** Whether the viewer is visible. On a hidden tab it is not. */
  get isVisible() {
    return this.#frame.clientWidth > 0;
  }

  /** Whether the stage is too narrow for images side by side, as on a phone. */
  get isNarrow() {
    return (this.#frame.clientWidth || innerWidth) < NARROW_STAGE;
  }

  /** Build the panels of the present choice. */
  build() {
    const { layout, panels, left, front, listed, isSideBySide } = this.#choice;
    const { failed, degradation } = /** @type {SceneValue} */ (this.#scene);
    const panel = (/** @type {ImageValue[]} */ ...images) =>
      makePanel(images, describeMissing(images, failed), degradation);
    this.#root.dataset.mode = layout;
    if (isSideBySide) this.#grid.replaceChildren(...panels.map((image) => panel(image)));
    else if (layout === "single") this.#grid.replaceChildren(panel(front));
    else {
      const divided = panel(left, front);
      divided.querySelector(".pane")?.append(makeHandle((change) => this.divide(this.#divider + change)));
      this.#grid.replaceChildren(divided);
      this.divide(this.#divider);
    }
    const methods = listed.filter(({ role }) => role === "method").map((image) => this.#choice.labelled(image));
    const rows = methods.map(makeWholeRow);
    this.#whole.querySelector("table")?.replaceChildren(...this.#whole.querySelectorAll("thead"), ...rows);
    this.arrange();
  }

  /** Share of a panel's width to the left of the divider. */
  get divider() {
    return this.#divider;
  }

  set divider(share) {
    this.#divider = share;
  }

  /**
   * Write the numbers of all images. Those of DRN and of other methods include the gain over bicubic at the same scale.
   * @param {Object<string, ImageNumbers>} scores
   */
  writeScores(scores) {
    const images = this.#choice.listed;
    for (const place of /** @type {NodeListOf<HTMLElement>} */ (this.#root.querySelectorAll("[data-of]"))) {
      const image = images.find(({ key }) => key === place.dataset.of);
      const bicubic = images.find(({ method, role, scale }) => method === "bicubic" && role === "method" && scale === image?.scale);
      const line = /** @type {HTMLElement} */ (place.querySelector(".line")), numbers = scores[image?.key ?? ""];
      const base = bicubic && bicubic !== image ? scores[bicubic.key] : undefined;
      const area = line.matches(".region") ? "region" : "whole";
      writeLine(line, numbers?.[area], base?.[area]);
      const time = line.querySelector(".time");
      if (time && numbers) time.textContent = numbers.seconds === null ? "" : `${numbers.seconds.toFixed(2)} s`;
    }
    // While another photograph is computed there are no scores; hiding the table would lose the focus in it.
    this.#whole.hidden = !Object.keys(scores).length && !this.#whole.contains(document.activeElement);
  }

  /**
   * Move the divider.
   * @param {number} share Share of the panel's width to the left of the divider; clamped to the range 0 to 1.
   */
  divide(share) {
    this.#divider = Math.min(1, Math.max(0, share));
    const handle = /** @type {HTMLElement} */ (this.#grid.querySelector(".handle"));
    handle.style.left = `${this.#divider * 100}%`;
    handle.setAttribute("aria-valuenow", String(Math.round(this.#divider * 100)));
    this.redraw();
  }

  /**
   * Give all panels the same size, in as many columns as fit, or in a row for each scale. The style sheet sets the
   * stage's least height; if the panels would become too low, the stage becomes higher.
   *
   * Positions and sizes are whole numbers of device pixels. Otherwise the browser would resample the canvases.
   */
  arrange() {
    const ratio = this.#ratio = pixelRatio();
    if (!this.isVisible) {
      this.#viewport.setPane(0, 0, ratio);
      return;
    }
    const step = gridStep(ratio), gap = Math.ceil(GAP / step) * step;
    const width = this.#snap(step), least = this.isNarrow ? MIN_PANEL_NARROW : MIN_PANEL;
    const most = Math.max(1, Math.floor((width + gap) / (least + gap)));
    const { layout, panels } = this.#choice, shown = /** @type {HTMLElement[]} */ ([...this.#grid.children]);
    const { columns, rows, places, overview } =
      layout === "scales" ? scaleCells(panels, most) : evenCells(shown.length, Math.min(most, this.#scene?.columns ?? most));
    const room = parseFloat(getComputedStyle(this.#grid).minHeight);
    const share = (/** @type {number} */ size, /** @type {number} */ parts) =>
      Math.floor((size - gap * (parts - 1)) / parts / step) * step;
    const panelWidth = share(width, columns), panelHeight = share(Math.max(room, rows * (MIN_HEIGHT + gap)), rows);
    Object.assign(this.#grid.style, {
      gap: `${gap}px`,
      gridTemplateColumns: `repeat(${columns}, ${panelWidth}px)`,
      gridAutoRows: `${panelHeight}px`,
    });
    shown.forEach((panel, index) => {
      const place = places[index];
      panel.hidden = place === null;
      if (place) panel.style.gridArea = `${place.row + 1} / ${place.column + 1}`;
    });
    this.#root.classList.toggle("crowded", places.includes(null));
    const size = (/** @type {number} */ one, /** @type {number} */ count) => count * (one + gap) - gap;
    this.#placeOverview(overview && {
      left: overview.column * (panelWidth + gap), top: overview.row * (panelHeight + gap),
      width: panelWidth, height: size(panelHeight, overview.rows),
    });
    this.#viewport.setPane(panelWidth, panelHeight, ratio);
    this.redraw();
  }

  /**
   * Move the stage to a multiple of a grid step in the document, and return its width in CSS pixels.
   * @param {number} step
   */
  #snap(step) {
    const { left, top, width } = this.#frame.getBoundingClientRect();
    const rest = (/** @type {number} */ position) => Math.max(0, Math.ceil(position / step - 0.01) * step - position);
    const across = rest(left + scrollX), down = rest(top + scrollY);
    Object.assign(this.#grid.style, { marginLeft: `${across}px`, marginTop: `${down}px` });
    return width - across;
  }

  /** Draw in the browser's next frame. */
  redraw() {
    cancelAnimationFrame(this.#request);
    this.#request = requestAnimationFrame(() => this.#draw());
  }

  /**
   * Move the overview to a free place of the stage, or back to its place on a panel, which the style sheet sets.
   * @param {{ left: number, top: number, width: number, height: number } | null} free In CSS pixels.
   */
  #placeOverview(free) {
    const place = /** @type {HTMLElement} */ (this.#overview.parentElement);
    this.#overviewSide = free && { width: free.width - 2 * OVERVIEW_MARGIN, height: free.height - 2 * OVERVIEW_MARGIN };
    place.classList.toggle("free", free !== null);
    for (const side of /** @type {const} */ (["left", "top", "width", "height"])) place.style[side] = free ? `${free[side]}px` : "";
  }

  #draw() {
    if (!this.#scene || !this.#viewport.isReady) return;
    if (this.#ratio !== pixelRatio()) this.arrange();
    const { layout, left, listed } = this.#choice;
    const { width, height } = this.#viewport.canvasSize;
    this.#grid.classList.toggle("fitted", this.#viewport.place.fit);
    const cut = layout === "divider" ? Math.round(width * this.#divider) : 0;
    for (const canvas of this.#grid.querySelectorAll("canvas")) {
      if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
      const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
      context.clearRect(0, 0, width, height);
      if (cut) this.#drawImage(context, left, 0, cut);
      const image = listed.find(({ key }) => key === canvas.dataset.key);
      if (image) this.#drawImage(context, image, cut, width);
    }
    this.#drawOverview(this.#scene, this.#viewport.region);
    this.#onDrawn();
  }

  /**
   * Draw an image between two columns of a canvas.
   * @param {CanvasRenderingContext2D} context
   * @param {ImageValue} image
   * @param {number} from
   * @param {number} to
   */
  #drawImage(context, image, from, to) {
    const bitmap = this.#bitmaps.get(image.key), pixelSize = image.role === "small" ? image.scale : 1;
    const part = bitmap && this.#viewport.part(bitmap, pixelSize, from, to);
    if (!part) return;
    const { source, target } = part;
    context.save();
    context.beginPath();
    context.rect(from, 0, to - from, context.canvas.height);
    context.clip();
    context.imageSmoothingEnabled = this.#viewport.magnification * pixelSize < 1;
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, source.x, source.y, source.width, source.height, target.x, target.y, target.width, target.height);
    context.restore();
  }

  /**
   * Draw the whole image, darker outside the region in view. The overview is hidden while the whole image is in view.
   * @param {SceneValue} scene
   * @param {Region} region
   */
  #drawOverview(scene, region) {
    const canvas = this.#overview, ratio = pixelRatio();
    const size = this.#viewport.imageSize, isWhole = region.width === size.width && region.height === size.height;
    canvas.hidden = isWhole;
    if (isWhole) return;
    const pane = this.#viewport.paneSize, most = Math.min(pane.width, pane.height) * OVERVIEW_SHARE;
    const side = Math.min(this.isNarrow ? OVERVIEW_SIDE_NARROW : OVERVIEW_SIDE, most);
    const room = this.#overviewSide ?? { width: side, height: side };
    const share = Math.min(1, room.width / size.width, room.height / size.height);
    const width = Math.round(size.width * share), height = Math.round(size.height * share);
    const pixels = { width: Math.round(width * ratio), height: Math.round(height * ratio) };
    if (canvas.width !== pixels.width || canvas.height !== pixels.height) {
      [canvas.width, canvas.height] = [pixels.width, pixels.height];
      [canvas.style.width, canvas.style.aspectRatio] = [`${width}px`, `${width} / ${height}`];
    }
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    const images = scene.images;
    const image = images.find(({ role }) => role === "original") ?? images.find(({ role }) => role === "method");
    const bitmap = image && this.#bitmaps.get(image.key);
    context.imageSmoothingQuality = "high";
    if (bitmap) context.drawImage(bitmap, 0, 0, size.width, size.height, 0, 0, canvas.width, canvas.height);
    const [x, y, w, h] = [region.x, region.y, region.width, region.height].map((size) => size * share * ratio);
    context.fillStyle = "rgb(0 0 0 / 0.35)";
    context.beginPath();
    context.rect(0, 0, canvas.width, canvas.height);
    context.rect(x, y, w, h);
    context.fill("evenodd");
    for (const [colour, line] of /** @type {const} */ ([["#000", 4], ["#fff", 2]])) {
      context.strokeStyle = colour;
      context.lineWidth = line * ratio;
      context.strokeRect(x, y, w, h);
    }
  }
}
