// The chosen region. This file contains only arithmetic; it uses neither the page nor the server.

/**
 * The region between two pixels of an image, which are both part of it.
 * @param {{ x: number, y: number }} from
 * @param {{ x: number, y: number }} to
 * @returns {Region}
 */
function regionBetween(from, to) {
  return {
    x: Math.min(from.x, to.x), y: Math.min(from.y, to.y),
    width: Math.abs(from.x - to.x) + 1, height: Math.abs(from.y - to.y) + 1,
  };
}

/**
 * The form of a region in addresses and tables: `X,Y,W,H`.
 * @param {Region} region
 */
const regionText = ({ x, y, width, height }) => [x, y, width, height].join();

/** The region that a visitor has chosen in the original image, in whole HR pixels; it is always inside the image. */
class ChosenRegion {
  #imageWidth = 1;
  #imageHeight = 1;
  /** @type {Region | null} */
  #region = null;

  /** The chosen region; null if there is none. */
  get region() {
    return this.#region;
  }

  /**
   * Set the size of the image; the part of the region outside the image is left out.
   * @param {number} width
   * @param {number} height
   */
  setImage(width, height) {
    this.#imageWidth = width;
    this.#imageHeight = height;
    if (this.#region) this.choose(this.#region);
  }

  /**
   * Choose a region. Its first pixel is moved into the image, and then its size is reduced to fit.
   * @param {Region | null} region Whole numbers; null for no region.
   */
  choose(region) {
    if (!region) {
      this.#region = null;
      return;
    }
    const x = clampTo(region.x, 0, this.#imageWidth - 1), y = clampTo(region.y, 0, this.#imageHeight - 1);
    this.#region = {
      x, y, width: clampTo(region.width, 1, this.#imageWidth - x), height: clampTo(region.height, 1, this.#imageHeight - y),
    };
  }

  /**
   * Move the region by a distance in HR pixels. It keeps its size and stops at the edges of the image.
   * @param {number} dx
   * @param {number} dy
   */
  move(dx, dy) {
    if (!this.#region) return;
    const { x, y, width, height } = this.#region;
    this.#region = {
      x: clampTo(x + dx, 0, this.#imageWidth - width), y: clampTo(y + dy, 0, this.#imageHeight - height), width, height,
    };
  }
}

/**
 * Limit a value to a range.
 * @param {number} value
 * @param {number} least
 * @param {number} most
 */
const clampTo = (value, least, most) => Math.min(Math.max(value, least), most);
