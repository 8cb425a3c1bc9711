/** A dialog in which a visitor chooses a part of a photo. Mouse, touch and keys move and resize the frame. */
class CropDialog {
  /** Steps of the arrow keys, in pixels of the photo: alone, and with Shift. */
  static STEPS = [10, 100];
  static PREVIEW_SIDE = 1600;
  static CORNERS = [
    ["Top left corner", false, false],
    ["Top right corner", true, false],
    ["Bottom left corner", false, true],
    ["Bottom right corner", true, true],
  ];

  #dialog;
  #stage;
  #bitmap;
  #frame;
  #maxBytes;
  #drag = null;
  #chosen = null;

  /**
   * @param {ImageBitmap} bitmap - The photo, upright.
   * @param {{texts: string[], limit: number, maxBytes: number}} options - Sentences above the photo, the largest number
   *   of pixels of the crop, and the largest size of its file.
   */
  constructor(bitmap, { texts, limit, maxBytes }) {
    this.#bitmap = bitmap;
    this.#frame = new CropFrame(bitmap.width, bitmap.height, limit);
    this.#maxBytes = maxBytes;
    this.#dialog = document.createElement("dialog");
    this.#dialog.className = "crop-dialog";
    this.#dialog.setAttribute("aria-labelledby", "crop-title");
    this.#dialog.setAttribute("aria-describedby", "crop-texts");
    this.#dialog.innerHTML = `
      <h2 id="crop-title">Choose a part of the photo</h2>
      <div id="crop-texts"></div>
      <div class="crop-stage">
        <div class="crop-photo"><canvas></canvas><div class="crop-shade"></div></div>
        <div class="crop-frame" tabindex="0" role="application" aria-label="Crop frame" aria-describedby="crop-keys"></div>
      </div>
      <p class="crop-place" role="status"></p>
      <p id="crop-keys">Drag the frame or its corners. <span>Arrow keys move the frame or the focused corner by
        ${CropDialog.STEPS[0]} pixels, with Shift by ${CropDialog.STEPS[1]}.</span></p>
      <p class="crop-refusal" role="alert"></p>
      <form method="dialog">
        <button type="button" class="crop-use">Use this crop</button><button class="crop-cancel">Cancel</button>
      </form>`;
    const paragraphs = texts.map((text) => Object.assign(document.createElement("p"), { textContent: text }));
    this.#find("#crop-texts").append(...paragraphs);
    this.#stage = this.#find(".crop-stage");
    for (const [name, right, bottom] of CropDialog.CORNERS) {
      const handle = Object.assign(document.createElement("button"), { type: "button", className: "crop-corner" });
      handle.setAttribute("aria-label", name);
      Object.assign(handle.dataset, { right, bottom });
      this.#stage.append(handle);
    }
    this.#drawPhoto();
    this.#listen();
  }

  /** Show the dialog. Returns the crop as a PNG file and its size, or null if the visitor cancels. */
  open() {
    const before = document.activeElement;
    document.querySelector(".gradio-container .contain").append(this.#dialog); // gradio applies media queries only there
    this.#dialog.showModal();
    this.#show();
    this.#find(".crop-frame").focus();
    return new Promise((done) => {
      this.#dialog.addEventListener("close", () => {
        this.#dialog.remove();
        if (before?.isConnected) before.focus({ preventScroll: true });
        done(this.#chosen);
      });
    });
  }

  /** Close the dialog without a crop. */
  cancel() {
    this.#dialog.close();
  }

  #find(selector) {
    return this.#dialog.querySelector(selector);
  }

  #drawPhoto() {
    const { width, height } = this.#bitmap;
    const factor = Math.min(1, CropDialog.PREVIEW_SIDE / Math.max(width, height));
    const canvas = this.#find("canvas");
    [canvas.width, canvas.height] = [Math.max(1, Math.round(width * factor)), Math.max(1, Math.round(height * factor))];
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(this.#bitmap, 0, 0, canvas.width, canvas.height);
    this.#stage.style.setProperty("--aspect", width / height);
  }

  #listen() {
    this.#stage.addEventListener("pointerdown", (event) => this.#startDrag(event));
    this.#stage.addEventListener("pointermove", (event) => this.#continueDrag(event));
    for (const name of ["pointerup", "pointercancel"]) this.#stage.addEventListener(name, () => { this.#drag = null; });
    this.#stage.addEventListener("keydown", (event) => this.#onKey(event));
    this.#dialog.addEventListener("keydown", (event) => event.stopPropagation()); // the viewer has keys of its own
    this.#find(".crop-use").addEventListener("click", () => this.#use());
  }

  /** The position of a pointer, in pixels of the photo. */
  #position({ clientX, clientY }) {
    const box = this.#stage.getBoundingClientRect();
    const zoom = this.#bitmap.width / box.width;
    return { x: (clientX - box.left) * zoom, y: (clientY - box.top) * zoom };
  }

  /** The corner that an element moves; null for the whole frame. */
  #cornerOf(element) {
    const { right, bottom } = element.dataset;
    return right ? { right: right === "true", bottom: bottom === "true" } : null;
  }

  /** Move a corner or, without one, the whole frame. `x` and `y` are the new position of this corner or the top left. */
  #move(corner, x, y) {
    if (corner) this.#frame.moveCorner(corner, x, y);
    else this.#frame.moveTo(x, y);
    this.#show();
  }

  #startDrag(event) {
    if (event.button !== 0 || this.#drag) return;
    event.preventDefault();
    const corner = this.#cornerOf(event.target);
    const pointer = this.#position(event);
    if (!corner && !event.target.closest(".crop-frame")) {
      this.#move(null, pointer.x - this.#frame.width / 2, pointer.y - this.#frame.height / 2);
    }
    (corner ? event.target : this.#find(".crop-frame")).focus({ preventScroll: true });
    const start = corner ? this.#frame.corner(corner) : this.#frame;
    this.#drag = { corner, pointerId: event.pointerId, dx: start.x - pointer.x, dy: start.y - pointer.y };
    this.#stage.setPointerCapture(event.pointerId);
  }

  #continueDrag(event) {
    if (event.pointerId !== this.#drag?.pointerId) return;
    const { x, y } = this.#position(event);
    this.#move(this.#drag.corner, x + this.#drag.dx, y + this.#drag.dy);
  }

  #onKey(event) {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [];
    if (dx === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const corner = this.#cornerOf(event.target);
    const { x, y } = corner ? this.#frame.corner(corner) : this.#frame;
    const step = CropDialog.STEPS[event.shiftKey ? 1 : 0];
    this.#move(corner, x + dx * step, y + dy * step);
  }

  #show() {
    const { x, y, width, height, photoWidth, photoHeight } = this.#frame;
    const shares = { "--x": x / photoWidth, "--y": y / photoHeight, "--w": width / photoWidth, "--h": height / photoHeight };
    for (const [name, share] of Object.entries(shares)) this.#stage.style.setProperty(name, `${100 * share}%`);
    this.#find(".crop-place").textContent = `${width}×${height} pixels at ${x}, ${y}`;
    this.#find(".crop-refusal").textContent = "";
  }

  /** The crop, pixel by pixel. It has an alpha channel only if some of its pixels are transparent. */
  #cut() {
    const { x, y, width, height } = this.#frame;
    const draw = (alpha) => {
      const canvas = Object.assign(document.createElement("canvas"), { width, height });
      const context = canvas.getContext("2d", { alpha, willReadFrequently: true });
      context.drawImage(this.#bitmap, x, y, width, height, 0, 0, width, height);
      return context;
    };
    const drawn = draw(true);
    const opaque = drawn.getImageData(0, 0, width, height).data.every((value, index) => index % 4 < 3 || value === 255);
    return (opaque ? draw(false) : drawn).canvas;
  }

  async #use() {
    const { width, height } = this.#frame;
    const use = this.#find(".crop-use");
    use.disabled = true;
    const file = await new Promise((done) => this.#cut().toBlob(done, "image/png"));
    use.disabled = false;
    if (!this.#dialog.open) return; // cancelled in the meantime
    if (file && file.size <= this.#maxBytes) {
      this.#chosen = { file, width, height };
      this.#dialog.close();
    } else {
      const reason = file ? `takes ${(file.size / 1e6).toFixed(1)} MB, and the limit is ${this.#maxBytes / 1e6} MB` : "cannot be made";
      this.#find(".crop-refusal").textContent = `This crop ${reason}: make the frame smaller.`;
    }
  }
}
