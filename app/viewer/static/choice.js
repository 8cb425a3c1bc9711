// Which images of a scene are shown, and how they are arranged. This file uses neither the page nor the server.

/**
 * Whether two images are the same kind of image, perhaps at different scales.
 * @param {ImageValue} one
 * @param {ImageValue} other
 */
const isSameKind = (one, other) => one.role === other.role && one.method === other.method;

/** The choice of layout and images. It is kept between scenes: an image that returns is shown again. */
class ImageChoice {
  /** @type {ImageValue[]} */
  #images = [];        // of the chosen scale
  /** @type {ImageValue[]} */
  #others = [];        // of the other scales, for the layout "scales"
  /** @type {Layout} */
  #layout = "side";
  /** @type {Set<string>} */
  #shown = new Set();  // keys of the images side by side
  /** @type {Set<string>} */
  #known = new Set();  // keys of all images of earlier scenes: a hidden image stays hidden in the next scene
  #front = "";
  #left = "";
  #previous = "";      // the image that was in front before
  #wished = { front: "", left: "" };  // keys that the visitor or a link chose, even if the scene lacks these images

  /**
   * Take the images of a new scene.
   * @param {ImageValue[]} images
   * @param {Viewpoint | null} start The choices of a link or of the server, if the photograph is a new one.
   */
  open(images, start) {
    this.#images = images.filter(({ scale }) => scale === images[0].scale);
    this.#others = images.filter(({ scale }) => scale !== images[0].scale);
    const keys = this.#images.map((image) => image.key);
    if (start) {
      if (start.layout !== "side" || start.shown.length) this.#layout = start.layout;
      this.#wished = { front: start.front || this.#wished.front, left: start.left || this.#wished.left };
      if (start.shown.length) {
        this.#shown = new Set(start.shown);
        this.#known = new Set(keys);
      }
    }
    this.#fillPlaces(keys);
    for (const image of this.#images) {
      if (image.shown && !this.#known.has(image.key)) this.#shown.add(image.key);
      this.#known.add(image.key);
    }
  }

  /**
   * Choose the images in front and on the left: the chosen keys, otherwise the first two methods, otherwise any images.
   * @param {string[]} keys
   */
  #fillPlaces(keys) {
    const pick = (/** @type {string} */ other, /** @type {(string | undefined)[]} */ ...wishes) =>
      [...wishes, ...keys].find((key) => key !== undefined && keys.includes(key) && key !== other) ?? "";
    const [first, second] = this.#images.filter((image) => image.role === "method").map((image) => image.key);
    const wished = this.#wished, divided = this.#layout === "divider";
    this.#front = pick(divided && wished.left !== wished.front ? wished.left : "", wished.front, second);
    this.#left = pick(divided ? this.#front : "", wished.left, first);
    this.#previous = pick(this.#front, this.#previous, this.#left);
  }

  get layout() {
    return this.#layout;
  }

  /** The images of the chosen scale that the present layout can show. */
  get images() {
    return this.#layout === "scales" ? this.#images.filter((image) => this.#isInRows(image)) : this.#images;
  }

  /** All images that the present layout can show: in the layout "scales" those of each scale in turn, and the original. */
  get listed() {
    if (this.#layout !== "scales") return this.#images;
    const place = (/** @type {ImageValue} */ image) => (image.role === "original" ? Infinity : image.scale);
    return [...this.images, ...this.#others].sort((one, other) => (place(one) < place(other) ? -1 : Number(place(one) > place(other))));
  }

  /** Whether there are images of other scales. */
  get hasScales() {
    return this.#others.length > 0;
  }

  /** Whether the panels are side by side, at one scale or at every scale. */
  get isSideBySide() {
    return this.#layout === "side" || this.#layout === "scales";
  }

  /** The image in front, in the layouts "divider" and "single". */
  get front() {
    return this.#find(this.#front);
  }

  /** The image left of the divider. */
  get left() {
    return this.#find(this.#left);
  }

  /** The panels side by side: the chosen images, in the layout "scales" at every scale, with the scale in their names. */
  get panels() {
    const columns = this.#columns;
    if (this.#layout !== "scales") return columns;
    return this.listed.filter((image) => columns.some((column) => isSameKind(image, column))).map((image) => this.labelled(image));
  }

  /**
   * An image with a name that is unique in the present layout.
   * @param {ImageValue} image
   */
  labelled(image) {
    return this.#layout === "scales" && image.role !== "original" ? { ...image, name: `${image.name} x${image.scale}` } : image;
  }

  /** The images of the chosen scale side by side: the chosen ones, or the first ones if none of them is in the scene. */
  get #columns() {
    const images = this.images, chosen = images.filter((image) => this.#shown.has(image.key));
    return chosen.length ? chosen : images.filter((image) => image.shown);
  }

  /**
   * Whether the layout "scales" has an image: the original, and the images that other scales have too.
   * @param {ImageValue} image
   */
  #isInRows(image) {
    return image.role === "original" || this.#others.some((other) => isSameKind(other, image));
  }

  /**
   * Whether an image is displayed.
   * @param {string} key
   */
  isOn(key) {
    return this.isSideBySide ? this.#columns.some((image) => image.key === key) : key === this.#front;
  }

  /**
   * Whether an image of a scene is displayed at once, and not loaded later.
   * @param {ImageValue} image
   * @param {ImageValue[]} images All images of the scene.
   */
  needs({ key, shown, scale }, images) {
    if (this.#layout === "scales" && scale !== this.#images[0]?.scale) return true;
    const placed = this.#layout === "divider" ? [this.#front, this.#left] : [this.#front];
    const isPlaced = !this.isSideBySide && placed.every((place) => images.some((image) => image.key === place));
    return isPlaced ? placed.includes(key) : shown || this.#shown.has(key);
  }

  /**
   * Arrange the images in another way.
   * @param {Layout} layout
   */
  arrange(layout) {
    this.#layout = layout;
    if (this.#left === this.#front) {
      const other = this.#images.find((image) => image.key !== this.#front);
      this.#left = this.#previous === this.#front ? other?.key ?? "" : this.#previous;
    }
    this.#wish();
  }

  /**
   * Show or hide an image side by side, or bring it to the front in the other layouts. The last visible image is never hidden.
   * @param {string} key
   */
  choose(key) {
    if (!this.isSideBySide) {
      this.#bringToFront(key);
      return;
    }
    for (const image of this.#columns) this.#shown.add(image.key);
    if (!this.#shown.delete(key)) this.#shown.add(key);
    if (!this.images.some((image) => this.#shown.has(image.key))) this.#shown.add(key);
  }

  /**
   * Bring an image to the front; panels side by side change to one image.
   * @param {string} key
   */
  showInFront(key) {
    if (this.isSideBySide) this.#layout = "single";
    this.#bringToFront(key);
  }

  /** Change from side by side to one image; otherwise bring the previous front image to the front again. */
  flip() {
    if (this.isSideBySide) this.#layout = "single";
    else this.#bringToFront(this.#previous);
  }

  /**
   * Put an image left of the divider; if it was in front, exchange both images.
   * @param {string} key
   */
  putLeft(key) {
    if (key === this.#front) [this.#previous, this.#front] = [key, this.#left];
    this.#left = key;
    this.#wish();
  }

  /**
   * The layout and the images for a link.
   * @returns {LinkQuery}
   */
  get query() {
    if (this.isSideBySide) return { layout: this.#layout, shown: this.#columns.map((image) => image.key).join() };
    if (this.#layout === "single") return { layout: "single", front: this.#front };
    return { layout: "divider", front: this.#front, left: this.#left };
  }

  /** @param {string} key */
  #bringToFront(key) {
    if (key === this.#front) return;
    if (this.#layout === "divider" && key === this.#left) this.#left = this.#front;
    [this.#previous, this.#front] = [this.#front, key];
    this.#wish();
  }

  #wish() {
    this.#wished = { front: this.#front, left: this.#left };
  }

  /** @param {string} key */
  #find(key) {
    return this.#images.find((image) => image.key === key) ?? this.#images[0];
  }
}
