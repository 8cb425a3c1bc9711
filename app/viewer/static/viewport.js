// The part of an image that a panel shows. This file contains only arithmetic; it uses neither page nor server.
//
// There are three kinds of pixels: HR pixels of the original image, CSS pixels of the page, and device pixels of the
// screen. The magnification is the number of device pixels for one HR pixel. If it is at least 1 it is a whole number,
// so that every HR pixel is drawn as a sharp square.

/** Magnifications above the fitted one. */
const MAGNIFICATIONS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48];

/** The highest zoom, in CSS pixels for one HR pixel; the server accepts links up to this zoom. */
const MAX_ZOOM = 16;

/** Tolerance for comparing magnifications that are not whole numbers. */
const TOLERANCE = 1e-6;

/**
 * The centre of a view, in HR pixels, and its zoom, in CSS pixels for one HR pixel. `fit` replaces the zoom.
 * @typedef {{ x: number, y: number, fit: boolean, zoom: number }} Place
 */

/** The view that all panels share. All panels have the same size. */
class Viewport {
  #imageWidth = 0;  // HR pixels
  #imageHeight = 0;
  #paneWidth = 0;   // device pixels
  #paneHeight = 0;
  #ratio = 1;       // device pixels for one CSS pixel
  #x = 0;           // the centre, in HR pixels
  #y = 0;
  #zoom = 1;        // the chosen zoom; `magnification` is this zoom in whole device pixels
  #fit = true;
  /** @type {Region | null} */
  #held = null;     // the region that stays fitted into the panel until the view is moved

  /**
   * Set the size of the original image.
   * @param {number} width
   * @param {number} height
   */
  setImage(width, height) {
    this.#imageWidth = width;
    this.#imageHeight = height;
    this.#clamp();
  }

  /**
   * Set the size of one panel, in CSS pixels, and the screen's device pixels for one CSS pixel.
   * @param {number} width
   * @param {number} height
   * @param {number} ratio
   */
  setPane(width, height, ratio) {
    this.#paneWidth = Math.round(width * ratio);
    this.#paneHeight = Math.round(height * ratio);
    this.#ratio = ratio;
    if (this.#held) this.showRegion(this.#held);
    this.#clamp();
  }

  /** Whether both sizes are known. They are unknown while the viewer is on a hidden tab. */
  get isReady() {
    return Math.min(this.#imageWidth, this.#imageHeight, this.#paneWidth, this.#paneHeight) > 0;
  }

  /** The size of the original image in HR pixels. */
  get imageSize() {
    return { width: this.#imageWidth, height: this.#imageHeight };
  }

  /** The panel's size in device pixels, which is the size of its canvas. */
  get canvasSize() {
    return { width: this.#paneWidth, height: this.#paneHeight };
  }

  /** The panel's size in CSS pixels. */
  get paneSize() {
    return { width: this.#paneWidth / this.#ratio, height: this.#paneHeight / this.#ratio };
  }

  /**
   * The present place; `moveTo` with this place restores the view.
   * @returns {Place}
   */
  get place() {
    return { x: this.#x, y: this.#y, fit: this.#fit, zoom: this.#zoom };
  }

  /**
   * Move to a place.
   * @param {Place} place
   */
  moveTo({ x, y, fit, zoom }) {
    this.#x = x;
    this.#y = y;
    this.#fit = fit;
    this.#zoom = zoom;
    this.#held = null;
    this.#clamp();
  }

  /**
   * Move to a viewpoint from the server.
   * @param {Viewpoint} viewpoint
   */
  moveToViewpoint(viewpoint) {
    const { x, y, fit, region } = viewpoint;
    if (region) this.showRegion(region);
    else this.moveTo({ x, y, fit, zoom: this.#zoomOf(viewpoint) });
  }

  /**
   * Move the centre to a point of the image.
   * @param {number} across Share of the image's width to the left of the point.
   * @param {number} down Share of the image's height above the point.
   */
  centreOn(across, down) {
    this.moveTo({ ...this.place, x: across * this.#imageWidth, y: down * this.#imageHeight });
  }

  /**
   * Move the view by a distance in CSS pixels.
   * @param {number} dx
   * @param {number} dy
   */
  panBy(dx, dy) {
    this.#x += dx / this.zoom;
    this.#y += dy / this.zoom;
    this.#held = null;
    this.#clamp();
  }

  /** Device pixels for one HR pixel: a whole number if it is at least 1. */
  get magnification() {
    return this.#fit ? this.#fitted() : this.#magnify(this.#zoom);
  }

  /** CSS pixels for one HR pixel. */
  get zoom() {
    return this.magnification / this.#ratio;
  }

  /**
   * The zooms for buttons, wheel, keys and pinch: the fitted zoom, then those of the larger `MAGNIFICATIONS`.
   * @returns {number[]}
   */
  get levels() {
    const fitted = this.#fitted();
    const larger = MAGNIFICATIONS.filter((dots) => dots > fitted && dots <= MAX_ZOOM * this.#ratio);
    return [fitted, ...larger].map((dots) => dots / this.#ratio);
  }

  /**
   * Find the point of the image, in HR pixels, at a position in the panel.
   * @param {number} left CSS pixels from the panel's left edge.
   * @param {number} top CSS pixels from the panel's upper edge.
   */
  imagePoint(left, top) {
    const { width, height } = this.paneSize;
    return { x: this.#x + (left - width / 2) / this.zoom, y: this.#y + (top - height / 2) / this.zoom };
  }

  /** Show the whole image. */
  fitImage() {
    this.#fit = true;
    this.#held = null;
    this.#clamp();
  }

  /**
   * Change the zoom around a position in the panel, by default its middle. The point of the image there stays in place.
   * @param {number} zoom CSS pixels for one HR pixel.
   * @param {number} left CSS pixels from the panel's left edge.
   * @param {number} top CSS pixels from the panel's upper edge.
   */
  zoomTo(zoom, left = this.paneSize.width / 2, top = this.paneSize.height / 2) {
    const kept = this.imagePoint(left, top);
    this.#held = null;
    this.#fit = zoom === this.#fitted() / this.#ratio;
    this.#zoom = zoom;
    const moved = this.imagePoint(left, top);
    this.#x += kept.x - moved.x;
    this.#y += kept.y - moved.y;
    this.#clamp();
  }

  /**
   * Change to the next higher (1) or lower (-1) value of `levels`, and keep a point as in `zoomTo`.
   * @param {number} direction
   * @param {number} [left]
   * @param {number} [top]
   */
  step(direction, left, top) {
    const now = this.magnification;
    const next = direction > 0
      ? this.levels.find((zoom) => this.#magnify(zoom) > now + TOLERANCE)
      : this.levels.findLast((zoom) => this.#magnify(zoom) < now - TOLERANCE);
    if (next !== undefined) this.zoomTo(next, left, top);
  }

  /**
   * Change to the value of `levels` whose ratio to a zoom is closest to 1, and keep a point as in `zoomTo`.
   * @param {number} wanted CSS pixels for one HR pixel.
   * @param {number} left
   * @param {number} top
   */
  zoomNear(wanted, left, top) {
    const distance = (/** @type {number} */ zoom) => Math.abs(Math.log(zoom / wanted));
    const nearest = this.levels.reduce((best, zoom) => (distance(zoom) < distance(best) ? zoom : best));
    if (Math.abs(this.#magnify(nearest) - this.magnification) > TOLERANCE) this.zoomTo(nearest, left, top);
  }

  /**
   * The visible part of the image, in HR pixels. It includes pixels that are cut by the panel's edge.
   * @returns {Region}
   */
  get region() {
    const { magnification, left, top } = this.#placement();
    const x = Math.max(0, Math.floor(-left / magnification));
    const y = Math.max(0, Math.floor(-top / magnification));
    const right = Math.min(this.#imageWidth, Math.ceil((this.#paneWidth - left) / magnification));
    const bottom = Math.min(this.#imageHeight, Math.ceil((this.#paneHeight - top) / magnification));
    return { x, y, width: right - x, height: bottom - y };
  }

  /**
   * Show a region in the middle of the panel, as large as possible. It stays fitted until the view is moved.
   * @param {Region} region
   */
  showRegion(region) {
    const { x, y, width, height } = region;
    const largest = Math.min(this.#paneWidth / width, this.#paneHeight / height) + TOLERANCE;
    const level = Math.max(0, this.levels.findLastIndex((zoom) => this.#magnify(zoom) <= largest));
    this.moveTo({ x: x + width / 2, y: y + height / 2, fit: level === 0, zoom: this.levels[level] });
    this.#held = region;
  }

  /**
   * Move the view as little as possible, so that a region is visible. An axis on which it is too large stays.
   * @param {Region} region
   */
  reveal({ x, y, width, height }) {
    const moved = (/** @type {number} */ centre, /** @type {number} */ visible, /** @type {number} */ start, /** @type {number} */ size) =>
      size > visible ? centre : Math.min(Math.max(centre, start + size - visible / 2), start + visible / 2);
    this.#x = moved(this.#x, this.#paneWidth / this.magnification, x, width);
    this.#y = moved(this.#y, this.#paneHeight / this.magnification, y, height);
    this.#held = null;
    this.#clamp();
  }

  /**
   * The box of a region in the panel, in CSS pixels. Parts of it may be outside the panel.
   * @param {Region} region
   */
  boxOf({ x, y, width, height }) {
    const { magnification, left, top } = this.#placement();
    const [boxLeft, boxTop, boxWidth, boxHeight] =
      [left + x * magnification, top + y * magnification, width * magnification, height * magnification].map((size) => size / this.#ratio);
    return { left: boxLeft, top: boxTop, width: boxWidth, height: boxHeight };
  }

  /**
   * Find the pixel of the image at a position in the panel; outside the image, the nearest one.
   * @param {number} left CSS pixels from the panel's left edge.
   * @param {number} top CSS pixels from the panel's upper edge.
   */
  pixelAt(left, top) {
    const { magnification, left: imageLeft, top: imageTop } = this.#placement();
    const pixel = (/** @type {number} */ position, /** @type {number} */ start, /** @type {number} */ size) =>
      Math.min(Math.max(Math.floor((position * this.#ratio - start) / magnification), 0), size - 1);
    return { x: pixel(left, imageLeft, this.#imageWidth), y: pixel(top, imageTop, this.#imageHeight) };
  }

  /**
   * Find the part of an image to draw between two columns of the canvas.
   * @param {{ width: number, height: number }} bitmap The image's size in its own pixels.
   * @param {number} pixelSize HR pixels that one pixel of the image covers on each axis.
   * @param {number} from First canvas column.
   * @param {number} to Canvas column after the last.
   * @returns {{ source: Region, target: Region } | null} The part of the image in its own pixels, and its place in
   *   device pixels; null if no part is visible.
   */
  part(bitmap, pixelSize, from, to) {
    const { magnification, left, top } = this.#placement();
    const size = magnification * pixelSize;
    const x = Math.max(0, Math.floor((from - left) / size));
    const y = Math.max(0, Math.floor(-top / size));
    // In the layout "scales" a bitmap may be larger than the part that all scales have.
    const width = Math.min(bitmap.width, this.#imageWidth / pixelSize, Math.ceil((to - left) / size)) - x;
    const height = Math.min(bitmap.height, this.#imageHeight / pixelSize, Math.ceil((this.#paneHeight - top) / size)) - y;
    if (width <= 0 || height <= 0) return null;
    return {
      source: { x, y, width, height },
      target: { x: left + x * size, y: top + y * size, width: width * size, height: height * size },
    };
  }

  /** The magnification, and the position of the image's upper left corner on the canvas, in whole device pixels. */
  #placement() {
    const magnification = this.magnification;
    return {
      magnification,
      left: Math.round(this.#paneWidth / 2 - this.#x * magnification),
      top: Math.round(this.#paneHeight / 2 - this.#y * magnification),
    };
  }

  /**
   * Convert a zoom to device pixels for one HR pixel.
   * @param {number} zoom
   */
  #magnify(zoom) {
    const magnification = zoom * this.#ratio;
    return magnification >= 1 ? Math.round(magnification) : magnification;
  }

  /** The magnification at which the whole image is visible. */
  #fitted() {
    const largest = Math.min(this.#paneWidth / this.#imageWidth, this.#paneHeight / this.#imageHeight);
    return largest >= 1 ? Math.floor(largest) : largest;
  }

  /**
   * The zoom of a viewpoint, lowered if the panel would show less than `min_width` HR pixels.
   * @param {Viewpoint} viewpoint
   */
  #zoomOf({ zoom, min_width }) {
    const dots = this.#magnify(zoom);
    if (min_width === 0 || this.#paneWidth === 0 || this.#paneWidth / dots >= min_width) return zoom;
    return (MAGNIFICATIONS.findLast((step) => step < dots && this.#paneWidth / step >= min_width) ?? 1) / this.#ratio;
  }

  /** Limit the centre, so that a large image fills the panel and a small image is in the middle. */
  #clamp() {
    if (!this.isReady) return;
    const magnification = this.magnification;
    const clamp = (/** @type {number} */ centre, /** @type {number} */ visible, /** @type {number} */ size) =>
      visible >= size ? size / 2 : Math.min(Math.max(centre, visible / 2), size - visible / 2);
    this.#x = clamp(this.#x, this.#paneWidth / magnification, this.#imageWidth);
    this.#y = clamp(this.#y, this.#paneHeight / magnification, this.#imageHeight);
  }
}
