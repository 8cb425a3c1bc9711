/**
 * A place of the page that takes an image.
 * @typedef {object} Place
 * @property {string} name - As in the event "photo-shown".
 * @property {() => HTMLInputElement|null} input - Its file input.
 * @property {() => Element|null} element - An element that is visible when the tab is in front; a note about a crop
 *   comes after it.
 * @property {() => number} whole - Largest number of pixels that is taken without a crop.
 * @property {() => number} crop - Largest number of pixels of a crop.
 * @property {(pixels: number) => string} limit - A sentence about the limit for a photo of so many pixels.
 * @property {(file: File) => string} [remark] - The end of the note about a crop of this file.
 */

/** A number of pixels in megapixels, with two digits below 10: 108, 12, 4.5, 0.8. */
const megapixels = (pixels) => String(pixels < 9.95e6 ? Number((pixels / 1e6).toPrecision(2)) : Math.round(pixels / 1e6));

/** A limit in megapixels. */
function upTo(pixels) {
  const number = megapixels(pixels);
  return `up to ${number} megapixel${number === "1" ? "" : "s"}`;
}

/** The note about a crop: "Crop of a 12-megapixel photo". */
function cropNote(pixels) {
  const number = megapixels(pixels);
  return `Crop of ${/^(8|1[18](\.|$))/.test(number) ? "an" : "a"} ${number}-megapixel photo`;
}

/**
 * Show a crop dialog for photos above the page's limits. Only the crop is then uploaded, and a note says so. A file that
 * the browser cannot decode is uploaded as it is; the server may be able to read it.
 * @param {Place[]} places - Where images are taken.
 * @param {number} maxBytes - Largest file.
 * @param {(input: HTMLInputElement, file: File) => void} give - Gives a file to an input as if it was chosen there.
 * @param {(files: File[], reason: string) => void} refuse - Tells that files were not opened.
 */
function cropLargePhotos(places, maxBytes, give, refuse) {
  const expected = new Map();
  const notes = new Map();
  let newest = 0;
  let dialog = null;
  let isGiving = false;

  /** Let the visitor choose a crop. Returns its file, size and note, or null if the visitor cancels. */
  async function crop(place, file, bitmap) {
    const { width, height } = bitmap;
    const size = `${width}×${height} pixels, ${megapixels(width * height)} megapixels, ${(file.size / 1e6).toFixed(1)} MB`;
    const limit = file.size > maxBytes ? `A file may have up to ${maxBytes / 1e6} MB.` : place.limit(width * height);
    const texts = [`${file.name}: ${size}. ${limit}`, "Only the part in the frame is sent. It is not shrunk."];
    dialog = new CropDialog(bitmap, { texts, limit: place.crop(), maxBytes });
    const chosen = await dialog.open();
    if (!chosen) return null;
    const name = `${file.name.replace(/\.\w+$/, "")}.png`;
    const note = cropNote(width * height) + (place.remark?.(file) ?? "");
    return { ...chosen, file: new File([chosen.file], name, { type: "image/png" }), note };
  }

  async function check(place, file) {
    const mine = ++newest;
    dialog?.cancel();
    const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" }).catch(() => null);
    let chosen = { file, note: "" };
    if (mine === newest && bitmap && (bitmap.width * bitmap.height > place.whole() || file.size > maxBytes)) {
      chosen = await crop(place, file, bitmap);
    }
    bitmap?.close();
    const input = place.input();
    if (mine !== newest || !chosen || !input) return;
    if (chosen.file.size > maxBytes) {
      const size = `${(file.size / 1e6).toFixed(1)} MB`;
      refuse([file], `it has ${size}, and the limit is ${maxBytes / 1e6} MB. Crop it, or save it as JPEG.`);
      return;
    }
    expected.set(place.name, chosen.note ? chosen : null);
    isGiving = true;
    give(input, chosen.file);
    isGiving = false;
  }

  // gradio would upload the file at once.
  document.addEventListener("change", (event) => {
    const place = places.find(({ input }) => input() === event.target);
    const files = event.target.files;
    if (!place || files.length !== 1 || isGiving) return;
    event.stopImmediatePropagation();
    const [file] = files;
    event.target.value = ""; // so that the same file can be chosen again after a Cancel
    check(place, file);
  }, true);

  // The note belongs to the image that the server received, also when the visitor returns to this image.
  document.addEventListener("photo-shown", ({ detail: { name, id, width, height } }) => {
    const place = places.find((one) => one.name === name);
    const crop = expected.get(name);
    if (id && crop && !notes.has(id) && (width === undefined || isOf(crop, width, height))) {
      notes.set(id, crop.note);
      expected.delete(name);
    }
    const element = place.element();
    if (!element) return;
    if (!element.nextElementSibling?.matches(".crop-note")) {
      element.after(Object.assign(document.createElement("p"), { className: "crop-note note", role: "status" }));
    }
    element.nextElementSibling.textContent = notes.get(id) ?? "";
  });

  /** Whether an image of a comparison, whose sides are multiples of the scale, can be this crop. */
  const isOf = (crop, width, height) =>
    width <= crop.width && height <= crop.height && crop.width - width < 4 && crop.height - height < 4;
}
