// The panels with their canvases, and the overview: building, arranging and drawing them.

/** Least width of a panel, least width in a narrow stage, and the width below which a stage is narrow; in CSS pixels. */
const MIN_PANEL = 220, MIN_PANEL_NARROW = 130, NARROW_STAGE = 600;

/** In CSS pixels: space between two panels (as in the style sheet), least height of a panel, side of the overview. */
const GAP = 8, MIN_HEIGHT = 150, OVERVIEW_SIDE = 220;

/** Height of the viewer's parts other than the stage in fullscreen, in CSS pixels. */
const FULLSCREEN_REST = 360;

/** Share of the window's height that panels may fill. */
const MAX_HEIGHT_SHARE = 0.72;

/** Device pixels for one CSS pixel. */
const pixelRatio = () => window.devicePixelRatio || 1;

/** Draws the images of a scene. */
class Stage {
  /** @type {HTMLElement} */
  #root;
  /** @type {HTMLElement} */
  #grid;
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
  #frame = 0;

  /**
   * @param {HTMLElement} root
   * @param {Viewport} viewport
   * @param {ImageChoice} choice
   * @param {() => void} onDrawn Called after each drawing.
   */
  constructor(root, viewport, choice, onDrawn) {
    this.#root = root;
    this.#grid = /** @type {HTMLElement} */ (root.querySelector(".stage"));
    this.#overview = /** @type {HTMLCanvasElement} */ (root.querySelector(".overview canvas"));
    this.#viewport = viewport;
    this.#choice = choice;
    this.#onDrawn = onDrawn;
    window.addEventListener("resize", () => this.arrange());
    this.#watchRatio();
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
    return /** @type {HTMLElement} */ (this.#grid.querySelector("canvas")).getBoundingClientRect();
  }

  /** Whether the viewer is visible. On a hidden tab it is not. */
  get isVisible() {
    return this.#grid.clientWidth > 0;
  }

  /** Build the panels of the present choice. */
  build() {
    const { layout, panels, left, front } = this.#choice;
    const failed = this.#scene?.failed ?? false;
    const panel = (/** @type {ImageValue[]} */ ...images) => makePanel(images, describeMissing(images, failed));
    this.#root.dataset.mode = layout;
    if (layout === "side") this.#grid.replaceChildren(...panels.map((image) => panel(image)));
    else if (layout === "single") this.#grid.replaceChildren(panel(front));
    else {
      const divided = panel(left, front);
      divided.querySelector(".pane")?.append(makeHandle((change) => this.divide(this.#divider + change)));
      this.#grid.replaceChildren(divided);
      this.divide(this.#divider);
    }
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
   * Write the numbers into all captions.
   * @param {Object<string, ImageNumbers>} scores
   */
  writeScores(scores) {
    for (const caption of /** @type {NodeListOf<HTMLElement>} */ (this.#grid.querySelectorAll("[data-of]"))) {
      writeNumbers(caption, scores[caption.dataset.of ?? ""]);
    }
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

  /** Give all panels the same size, in as many columns as fit; in fullscreen they fill the screen. */
  arrange() {
    const width = this.#grid.clientWidth, ratio = pixelRatio();
    const least = width < NARROW_STAGE ? MIN_PANEL_NARROW : MIN_PANEL;
    const most = Math.max(1, Math.floor((width + GAP) / (least + GAP)));
    const cells = this.#cells();
    const across = Math.max(0, ...cells.map(({ column }) => column)) + 1;
    const lines = Math.ceil(across / most), columns = Math.ceil(across / lines);  // of one row of the scene
    const rows = (Math.max(0, ...cells.map(({ row }) => row)) + 1) * lines;
    // The size is a whole number of device pixels. Otherwise the browser would resample the canvases.
    const whole = (/** @type {number} */ size) => Math.floor(size * ratio) / ratio;
    const panelWidth = whole((width - GAP * (columns - 1)) / columns);
    const isFull = document.fullscreenElement === this.#root;
    const room = (isFull ? window.innerHeight - FULLSCREEN_REST : window.innerHeight * MAX_HEIGHT_SHARE) / rows;
    const height = whole(Math.max(Math.min(panelWidth, MIN_HEIGHT), Math.min(panelWidth, room)));
    this.#grid.style.gridTemplateColumns = `repeat(${columns}, ${panelWidth}px)`;
    this.#grid.style.setProperty("--height", `${height}px`);
    cells.forEach(({ column, row }, index) => {
      const panel = /** @type {HTMLElement} */ (this.#grid.children[index]);
      panel.style.gridArea = `${row * lines + Math.floor(column / columns) + 1} / ${(column % columns) + 1}`;
    });
    this.#measure();
    this.redraw();
  }

  /** Draw in the browser's next frame. */
  redraw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#draw());
  }

  /**
   * The column and the row of each panel. In a scene with rows, an image keeps its row and column when other images
   * are hidden. Rows and columns without a visible image are removed.
   */
  #cells() {
    const columns = this.#scene?.columns;
    if (!columns || this.#choice.layout !== "side") return [...this.#grid.children].map((_, column) => ({ column, row: 0 }));
    const places = this.#choice.panels.map((image) => {
      const index = this.#choice.images.indexOf(image);
      return { column: index % columns, row: Math.floor(index / columns) };
    });
    const used = (/** @type {number[]} */ numbers) => [...new Set(numbers)].sort((a, b) => a - b);
    const usedColumns = used(places.map(({ column }) => column)), usedRows = used(places.map(({ row }) => row));
    return places.map(({ column, row }) => ({ column: usedColumns.indexOf(column), row: usedRows.indexOf(row) }));
  }

  /** Pass the size of the panels to the viewport. */
  #measure() {
    if (!this.#grid.children.length) return;
    const { width, height } = this.box;
    this.#viewport.setPane(width, height, pixelRatio());
  }

  #draw() {
    if (!this.#scene) return;
    this.#measure();
    if (!this.#viewport.isReady) return;
    const { layout, left, images } = this.#choice;
    const { width, height } = this.#viewport.canvasSize;
    const cut = layout === "divider" ? Math.round(width * this.#divider) : 0;
    for (const canvas of this.#grid.querySelectorAll("canvas")) {
      if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
      const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
      context.clearRect(0, 0, width, height);
      if (cut) this.#drawImage(context, left, 0, cut);
      const image = images.find(({ key }) => key === canvas.dataset.key);
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
   * Draw the whole image, darker outside the region in view.
   * @param {SceneValue} scene
   * @param {Region} region
   */
  #drawOverview(scene, region) {
    const canvas = this.#overview, ratio = pixelRatio();
    const share = Math.min(1, OVERVIEW_SIDE / Math.max(scene.width, scene.height));
    const width = Math.round(scene.width * share), height = Math.round(scene.height * share);
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
    if (bitmap) context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
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

  /** Arrange the panels again if the window moves to a screen with another pixel ratio, or the page is zoomed. */
  #watchRatio() {
    matchMedia(`(resolution: ${pixelRatio()}dppx)`).addEventListener("change", () => {
      this.arrange();
      this.#watchRatio();
    }, { once: true });
  }
}
