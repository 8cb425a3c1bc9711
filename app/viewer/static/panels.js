// The elements of one panel: a canvas with a caption for each image on it. These functions keep no state.

/**
 * Create an element.
 * @param {string} tag
 * @param {Record<string, string>} attributes
 * @param {(Node | string)[]} children
 */
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/**
 * Return a text that names the images without a file and says whether they are still being computed; empty if all
 * images have a file.
 * @param {ImageValue[]} images
 * @param {boolean} failed Whether their computation has failed or was stopped.
 */
function describeMissing(images, failed) {
  const names = images.filter((image) => !image.file).map((image) => image.name).join(" and ");
  if (!names) return "";
  return failed ? `no ${names}: it could not be computed` : `computing ${names}…`;
}

/**
 * Create the caption of an image, with empty places for its numbers.
 * @param {ImageValue} image
 */
function makeCaption(image) {
  const head = make("p", { class: "name" }, make("strong", {}, image.name), " ", make("span", { class: "note" }, image.note));
  if (image.legend) {
    head.append(make("span", { class: `legend ${image.role}`, "aria-hidden": "true" },
      make("i", {}, image.legend.low), make("i", {}, image.legend.high)));
  }
  const line = (/** @type {string} */ area, /** @type {string} */ label) =>
    make("div", { class: `line ${area}`, "data-testid": area },
      make("span", { class: "what" }, label), make("span", { class: "psnr" }, "…"), make("span", { class: "ssim" }));
  const numbers = make("div", { class: "numbers" }, line("region", "in view"), line("whole", "image"), make("p", { class: "time" }));
  numbers.hidden = true;
  return make("div", { class: "caption", "data-of": image.key }, head, numbers);
}

/**
 * Write the numbers of an image into its caption, or hide them if there are none.
 * @param {HTMLElement} caption
 * @param {ImageNumbers | undefined} numbers
 */
function writeNumbers(caption, numbers) {
  const find = (/** @type {string} */ selector) => /** @type {HTMLElement} */ (caption.querySelector(selector));
  find(".numbers").hidden = !numbers;
  if (!numbers) return;
  for (const area of /** @type {const} */ (["region", "whole"])) {
    for (const metric of /** @type {const} */ (["psnr", "ssim"])) {
      const { text, best } = numbers[area][metric];
      const place = find(`.${area} .${metric}`);
      place.textContent = text;
      place.classList.toggle("best", best);
    }
  }
  find(".time").textContent = numbers.seconds === null ? "" : `whole image in ${numbers.seconds.toFixed(2)} s`;
}

/**
 * Create a panel.
 * @param {ImageValue[]} images The images on its canvas, from left to right. The key of the last image is the key of the panel.
 * @param {string} waiting Message over the canvas; empty for none.
 */
function makePanel(images, waiting) {
  const main = /** @type {ImageValue} */ (images.at(-1));
  const names = images.map((image) => image.name).join(" and ");
  const canvas = make("canvas", { "data-key": main.key, role: "img", "aria-label": `${names}, the region in view` });
  const pane = make("div", { class: "pane" }, canvas);
  if (waiting) pane.append(make("p", { class: "waiting" }, waiting));
  return make("figure", { "data-panel": main.name }, pane, make("figcaption", {}, ...images.map(makeCaption)));
}

/** Steps of the divider by key, as shares of the panel's width. */
const DIVIDER_STEPS = new Map(Object.entries({
  ArrowLeft: -0.02, ArrowRight: 0.02, ArrowDown: -0.02, ArrowUp: 0.02, PageDown: -0.1, PageUp: 0.1, Home: -1, End: 1,
}));

/**
 * Create the handle of the divider, which keys can move too.
 * @param {(change: number) => void} move Moves the divider by a share of the panel's width.
 */
function makeHandle(move) {
  const handle = make("div", {
    class: "handle", role: "slider", tabindex: "0", "aria-label": "Divider between the two images",
    "aria-valuemin": "0", "aria-valuemax": "100", "data-testid": "divider",
  });
  handle.addEventListener("keydown", (event) => {
    const step = DIVIDER_STEPS.get(event.key);
    if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    move(step);
  });
  return handle;
}
