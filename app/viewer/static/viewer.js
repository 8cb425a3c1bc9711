// Connects the viewer's parts with each other and with the server. The files of this folder are joined, this one last,
// and run as `js_on_load` of a gr.HTML, which provides `element`, `trigger`, `props` and `watch`.

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
  /** @type {SceneValue | null} */
  #scene = null;
  /** @type {Record<string, Place>} */
  #places;             // the last place of each photograph, which all viewers of the page share
  #turn = 0;           // counts the values from the server, so that an older value cannot replace a newer one
  #wasVisible = false;

  /**
   * @param {HTMLElement} root
   * @param {Record<string, Place>} places
   * @param {(event: ViewportEvent) => void} send Sends the event `viewport`.
   */
  constructor(root, places, send) {
    this.#root = root;
    this.#places = places;
    this.#feed = new NumbersFeed(send);
    this.#stage = new Stage(root, this.#viewport, this.#choice, () => this.#noteView());
    this.#controls = new Controls(root, this.#viewport, this.#choice, this.#stage, () => this.#build());
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
    /** @type {Map<string, HTMLImageElement>} */
    const bitmaps = new Map();
    const [soon, later] = [true, false].map((needed) => scene.images.filter((image) => this.#choice.needs(image) === needed));
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
    bitmap.src = image.file.url;
    try {
      await bitmap.decode();
      bitmaps.set(image.key, bitmap);
    } catch {
      // The server may have deleted the file.
    }
  }

  /**
   * @param {SceneValue} scene
   * @param {Map<string, HTMLImageElement>} bitmaps
   */
  #open(scene, bitmaps) {
    const isNew = this.#scene?.picture !== scene.picture;
    this.#root.hidden = false;
    if (!this.#scene && !scene.columns && this.#stage.isNarrow) this.#choice.arrange("divider");
    this.#scene = scene;
    this.#root.dataset.picture = scene.picture;
    this.#choice.open(scene.images, isNew ? scene.start : null);
    this.#viewport.setImage(scene.width, scene.height);
    this.#stage.setScene(scene, bitmaps);
    this.#controls.setScene(scene);
    this.#build();
    this.#controls.say(describeMissing(scene.images, scene.failed) || "all images are shown");
    if (!isNew) return;
    const place = this.#places[scene.picture];
    if (place) this.#viewport.moveTo(place);
    else this.#viewport.moveToViewpoint(scene.start);
  }

  /** Build the panels and the controls of the present choice. */
  #build() {
    if (!this.#scene) return;
    const focused = /** @type {HTMLElement | null} */ (document.activeElement);
    const hadFocus = focused !== null && this.#root.contains(focused);
    this.#controls.build();
    this.#stage.build();
    this.#showNumbers();
    if (hadFocus && !focused.isConnected) this.#controls.restoreFocus(focused);
  }

  #showNumbers() {
    this.#root.dataset.fresh = String(this.#feed.isFresh);
    const scores = this.#scene && this.#feed.scoresOf(this.#scene.token);
    if (scores) this.#stage.writeScores(scores);
  }

  /** Pass the drawn state to the controls, to other viewers of the photograph, and to the numbers. */
  #noteView() {
    const { picture, token } = /** @type {SceneValue} */ (this.#scene);
    this.#controls.update();
    this.#places[picture] = this.#viewport.place;
    this.#feed.ask({ token, region: this.#viewport.region });
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

  /** Arrange the panels again, because another tab may have moved the view of the photograph. */
  #noteSize() {
    const { isVisible } = this.#stage;
    const place = this.#scene && this.#places[this.#scene.picture];
    if (isVisible && !this.#wasVisible && place) this.#viewport.moveTo(place);
    this.#wasVisible = isVisible;
    this.#stage.arrange();
  }
}

/** @type {typeof window & { drnPlaces?: Record<string, Place> }} */
const page = window;
const viewer = new Viewer(
  /** @type {HTMLElement} */ (element.querySelector(".viewer")),
  (page.drnPlaces ??= {}),
  (event) => trigger("viewport", event),
);
watch("value", () => viewer.show(props.value));
watch("numbers", () => viewer.receive(props.numbers));
viewer.receive(props.numbers);
void viewer.show(props.value);
