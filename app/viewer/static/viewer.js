// Connects the viewer's parts with each other and with the server. The files of this folder are joined, this one last;
// the page loads them once, and each viewer of the page calls `startViewer`.

/** The button that the viewer presses when it needs, or no longer needs, the results of every scale. */
const REARRANGED = "#rearranged";

/**
 * The last place and the chosen region of each photograph.
 * @typedef {Record<string, { place: Place, region: Region | null }>} Places
 */

/** Notices about files that the page's address does not contain. */
const LOST_UPLOAD = "Your photograph is no longer on the server, so an example is shown: upload it again.";
const LOST_OWN = "Results that were added to this comparison are not kept in its address: add them again.";

/** One viewer on the page. */
class Viewer {
  /** @type {HTMLElement} */
  #root;
  #viewport = new Viewport();
  #choice = new ImageChoice();
  /** @type {Stage} */
  #stage;
  /** @type {Controls} */
  #controls;
  /** @type {NumbersFeed} */
  #feed;
  #chosen = new ChosenRegion();
  /** @type {RegionPicking} */
  #picking;
  /** @type {RegionBar} */
  #bar;
  /** @type {Announcer} */
  #announcer;
  /** @type {Address | null} */
  #address;            // null if the page's address does not contain the state of this viewer
  /** @type {UploadThumbnail | null} */
  #thumbnail;
  /** @type {SceneValue | null} */
  #scene = null;
  /** @type {Places} */
  #places = {};
  /** @type {Region | null} */
  #seen = null;        // the region that must be in view or chosen as soon as all images are there, from a link
  /** @type {{ across: number, down: number, place: Place } | null} */
  #kept = null;        // the relative centre and the place that the next photograph takes over
  #opened = 0;         // number of photographs since the page was loaded
  #noticed = 1;        // number of photographs that leave the notice visible
  #turn = 0;           // counts the values from the server, so that an older value cannot replace a newer one

  /**
   * @param {HTMLElement} root
   * @param {boolean} hasAddress Whether the page's address contains the state of this viewer.
   * @param {(event: ViewportEvent) => void} send Sends the event `viewport`.
   */
  constructor(root, hasAddress, send) {
    this.#root = root;
    this.#feed = new NumbersFeed(send);
    this.#stage = new Stage(root, this.#viewport, this.#choice, () => this.#noteView());
    this.#controls = new Controls(root, this.#viewport, this.#choice, this.#stage, () => this.#build(),
      () => `${location.origin}${location.pathname}?${this.#query}`);
    const redraw = () => this.#stage.redraw();
    this.#picking = new RegionPicking(root, this.#viewport, this.#chosen, redraw);
    this.#bar = new RegionBar(root, this.#viewport, this.#chosen, this.#picking, redraw);
    const say = (/** @type {string} */ text) => this.#controls.say(text);
    new NumbersExport(root, () => this.#shownNumbers, say);
    this.#announcer = new Announcer(say);
    this.#address = hasAddress ? this.#connectAddress() : null;
    this.#thumbnail = hasAddress ? new UploadThumbnail() : null;
    for (const name of ["pointerdown", "wheel", "keydown"]) {
      root.addEventListener(name, () => { this.#seen = null; }, { capture: true, passive: true });
    }
    new Gestures(root, this.#viewport, this.#stage, () => /** @type {SceneValue} */ (this.#scene).start);
    this.#watchSize(/** @type {Element} */ (root.querySelector(".frame")));
  }

  /**
   * Show a scene as soon as the images that are needed first are decoded. Null hides the viewer.
   * @param {SceneValue | null} scene
   */
  async show(scene) {
    const turn = ++this.#turn;
    if (!scene) {
      this.#root.hidden = true;
      return;
    }
    if (!this.#scene) this.#openFirst(scene);
    /** @type {Map<string, HTMLImageElement>} */
    const bitmaps = new Map();
    const [soon, later] = [true, false].map((needed) => scene.images.filter((image) => this.#choice.needs(image, scene.images) === needed));
    await Promise.all(soon.map((image) => this.#decode(image, bitmaps)));
    if (turn !== this.#turn) return;  // a newer scene has arrived
    for (const image of later) void this.#decode(image, bitmaps).then(() => this.#stage.redraw());
    // A visitor who opens a link waits for the scene of the link, and not for the scene built into the page.
    if (turn > 1) this.#root.ariaBusy = "false";
    this.#open(scene, bitmaps);
  }

  /**
   * Receive numbers from the server.
   * @param {Numbers | null} numbers
   */
  receive(numbers) {
    this.#feed.receive(numbers);
    this.#showNumbers();
  }

  /**
   * Load and decode an image. If it cannot be loaded, its panel stays empty.
   * @param {ImageValue} image
   * @param {Map<string, HTMLImageElement>} bitmaps
   */
  async #decode(image, bitmaps) {
    if (!image.file?.url) return;
    const bitmap = new Image();
    bitmap.fetchPriority = "high";  // before the thumbnails
    bitmap.src = image.file.url;
    try {
      await bitmap.decode();
      bitmaps.set(image.key, bitmap);
    } catch {
      // The server may have deleted the file.
    }
  }

  /**
   * Choose the layout before the first images are loaded, because it decides which of them are needed first.
   * @param {SceneValue} scene
   */
  #openFirst({ columns, images, start }) {
    if (!columns && this.#stage.isNarrow) this.#choice.arrange("divider");
    this.#choice.open(images, start);
  }

  /**
   * @param {SceneValue} scene
   * @param {Map<string, HTMLImageElement>} bitmaps
   */
  #open(scene, bitmaps) {
    const isNew = this.#scene?.picture !== scene.picture;
    this.#root.hidden = false;
    if (isNew && ++this.#opened > this.#noticed) this.#find(".notice").hidden = true;
    this.#scene = scene;
    this.#root.dataset.picture = scene.picture;
    this.#thumbnail?.show(scene);
    this.#choice.open(scene.images, isNew ? scene.start : null);
    if (isNew) this.#chosen.choose(null);
    this.#stage.setScene(scene, bitmaps);
    this.#controls.setScene(scene);
    this.#picking.isEnabled = scene.images.some(({ role }) => role === "original");
    this.#find(".region-bar").hidden = !this.#picking.isEnabled;
    if (isNew && scene.start.layout === "scales") this.#root.dataset.scales = "true";  // the server has read the link
    if (isNew && scene.start.layout === "divider") this.#stage.divider = scene.start.divider;
    this.#build();
    this.#controls.say(describeMissing(this.#choice.listed.map((image) => this.#choice.labelled(image)), scene.failed)
      || "all images are shown");
    if (isNew) this.#placeView(scene);
    if (isNew && this.#opened > this.#noticed) this.#scrollToFrame();
  }

  /** Scroll to the images if most of them are outside the window. On a phone the thumbnails are a screen below them. */
  #scrollToFrame() {
    const frame = this.#find(".frame"), { top, bottom, height } = frame.getBoundingClientRect();
    const visible = Math.min(bottom, innerHeight) - Math.max(top, 0);
    if (height && visible < Math.min(height, innerHeight) / 2) frame.scrollIntoView({ block: "start" });
  }

  /**
   * Move to the first place of a photograph.
   * @param {SceneValue} scene
   */
  #placeView({ picture, start, width, height }) {
    const known = this.#places[picture], kept = this.#kept;
    this.#kept = null;
    this.#seen = known || kept ? null : start.seen;
    if (known) {
      this.#viewport.moveTo(known.place);
      this.#chosen.choose(known.region);
    } else if (kept) {
      this.#viewport.moveTo({ ...kept.place, x: kept.across * width, y: kept.down * height });
    } else {
      this.#viewport.moveToViewpoint(start);
      this.#chosen.choose(start.region);
    }
  }

  /** Build the panels and the controls of the present choice. */
  #build() {
    if (!this.#scene) return;
    const focused = /** @type {HTMLElement | null} */ (document.activeElement);
    const hadFocus = focused !== null && this.#root.contains(focused);
    const { width, height, shared_width, shared_height } = this.#scene;
    const size = this.#choice.layout === "scales" ? /** @type {const} */ ([shared_width, shared_height]) : /** @type {const} */ ([width, height]);
    this.#viewport.setImage(...size);
    this.#chosen.setImage(...size);
    this.#controls.build();
    this.#stage.build();
    this.#showNumbers();
    if (hadFocus && !focused.isConnected) this.#controls.restoreFocus(focused);
    this.#noteScales();
  }

  /** Tell the server when the results of every scale are needed, and when they are no longer needed. */
  #noteScales() {
    const needed = String(this.#choice.layout === "scales" && this.#stage.isVisible);
    if (this.#root.dataset.scales === needed) return;
    this.#root.dataset.scales = needed;
    /** @type {HTMLElement | null} */ (document.querySelector(REARRANGED))?.click();
  }

  #showNumbers() {
    this.#root.dataset.fresh = String(this.#feed.isFresh);
    const numbers = this.#numbers;
    if (!numbers) return;
    this.#stage.writeScores(numbers.scores);
    const { layout, front, left, panels, isSideBySide } = this.#choice;
    const displayed = isSideBySide ? panels : layout === "divider" ? [left, front] : [front];
    const names = layout === "single" ? `${front.name} in front.`
      : layout === "divider" ? `${left.name} on the left, ${front.name} on the right.` : "";
    this.#announcer.note(`${names} ${describeNumbers(displayed, numbers)}`.trim());
  }

  /** The displayed numbers; null if there are none yet. */
  get #numbers() {
    return this.#scene && this.#feed.numbersOf(this.#scene.token);
  }

  /** The displayed numbers with their images; null if there are none yet. */
  get #shownNumbers() {
    const numbers = this.#numbers;
    if (!this.#scene || !numbers) return null;
    const { name, degradation } = this.#scene;
    return { photograph: name, images: this.#choice.listed, degradation, numbers };
  }

  /** Pass the drawn state to the controls and to the numbers. */
  #noteView() {
    const { picture, token } = /** @type {SceneValue} */ (this.#scene);
    this.#checkSeen();
    const { region } = this.#chosen;
    this.#controls.update();
    this.#bar.update();
    this.#picking.draw();
    this.#places[picture] = { place: this.#viewport.place, region };
    this.#feed.ask({ token, region: region ?? this.#viewport.region });
    this.#address?.note();
    if (this.#root.dataset.seen === this.#feed.wanted) return;
    this.#root.dataset.seen = this.#feed.wanted;
    this.#showNumbers();
  }

  /**
   * Arrange the panels again when the frame changes its size in device pixels, and when it may have moved because the
   * page became longer or shorter.
   * @param {Element} frame
   */
  #watchSize(frame) {
    const observer = new ResizeObserver(() => this.#noteSize());
    try {
      observer.observe(frame, { box: "device-pixel-content-box" });
    } catch {
      observer.observe(frame);  // Safari has no sizes in device pixels
    }
    observer.observe(document.body);
  }

  /** Arrange the panels again. On a hidden tab the results of every scale are not needed. */
  #noteSize() {
    this.#stage.arrange();
    if (this.#scene) this.#noteScales();
  }

  /** If a link was made in a window where another region was in view, choose that region, so the numbers are the same. */
  #checkSeen() {
    const seen = this.#seen, { failed } = /** @type {SceneValue} */ (this.#scene);
    if (!seen || (!failed && this.#choice.images.some(({ file }) => !file))) return;
    this.#seen = null;
    if (regionText(seen) === regionText(this.#viewport.region)) return;
    this.#chosen.choose(seen);
    this.#viewport.showRegion(seen);
    this.#stage.redraw();
  }

  /** Start to write the state into the page's address, and let the visitor walk through the photographs. */
  #connectAddress() {
    const query = new URLSearchParams(location.search), isLink = query.has("image");
    const notice = this.#find(".notice");
    notice.textContent = query.has("upload") ? LOST_UPLOAD : query.has("own") ? LOST_OWN : "";
    notice.hidden = !notice.textContent;
    this.#noticed = isLink ? 2 : 1;  // the photograph built into the page, and that of the link
    new PhotographWalk(this.#root, () => this.#keepView());
    return new Address(() => {
      const { ariaBusy } = this.#root, isWaiting = isLink ? ariaBusy !== "false" : ariaBusy === "true";
      if (!this.#scene || isWaiting || this.#seen || !this.#viewport.isReady) return null;
      return this.#scene.link === null ? "upload=1" : this.#query;
    });
  }

  /** Keep the view for the next photograph: its relative centre and its zoom. */
  #keepView() {
    const place = this.#viewport.place, { width, height } = this.#viewport.imageSize;
    this.#kept = { across: place.x / width, down: place.y / height, place };
  }

  /** The query of a link to the present view. */
  get #query() {
    const { region } = this.#chosen, { x, y, fit, zoom } = this.#viewport.place;
    /** @type {LinkQuery} */
    const view = region ? { region: regionText(region) } : {
      x: String(x), y: String(y), ...(fit ? { fit: "1" } : { zoom: String(zoom) }), seen: regionText(this.#viewport.region),
    };
    const divider = this.#choice.layout === "divider" ? { divider: this.#stage.divider.toFixed(4) } : {};
    const query = /** @type {Record<string, string>} */ ({ ...view, ...this.#choice.query, ...divider });
    return `${this.#scene?.link}&${queryText(new URLSearchParams(query))}`;
  }

  /**
   * @param {string} selector
   * @returns {HTMLElement}
   */
  #find(selector) {
    return /** @type {HTMLElement} */ (this.#root.querySelector(selector));
  }
}

/**
 * Start the viewer of a gr.HTML.
 * @param {HTMLElement} element The component's element.
 * @param {{ value: SceneValue | null, numbers: Numbers | null, address: boolean }} props The component's properties.
 * @param {(name: string, action: () => void) => void} watch Sets the action for a change of a property.
 * @param {(event: ViewportEvent) => void} send Sends the event `viewport`.
 */
function startViewer(element, props, watch, send) {
  const viewer = new Viewer(/** @type {HTMLElement} */ (element.querySelector(".viewer")), props.address, send);
  watch("value", () => viewer.show(props.value));
  watch("numbers", () => viewer.receive(props.numbers));
  viewer.receive(props.numbers);
  void viewer.show(props.value);
}
