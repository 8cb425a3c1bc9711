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
 * Create the labels on an image: its name, and places for its numbers.
 * @param {ImageValue} image
 * @param {string} degradation `SceneValue.degradation`, which marks all images but the original.
 */
function makeCaption(image, degradation) {
  const head = make("div", { class: "pill name", title: image.note }, make("strong", {}, image.name));
  if (degradation && image.role !== "original") {
    head.append(make("span", { class: "mark", title: "Outside the benchmark protocol" }, degradation));
  }
  if (image.legend) {
    head.append(make("span", { class: `legend ${image.role}`, "aria-hidden": "true" },
      make("i", {}, image.legend.low), make("i", {}, image.legend.high)));
  }
  const value = (/** @type {string} */ label, /** @type {string} */ metric) =>
    make("span", {}, make("span", { class: "what" }, `${label} `), make("span", { class: metric }));
  const line = make("div", { class: "pill line region", "data-testid": "region" },
    value("PSNR", "psnr"), value("SSIM", "ssim"), make("span", { class: "gain" }));
  line.hidden = true;
  return make("div", { class: "caption", "data-of": image.key, "data-method": image.method ?? "" }, head, line);
}

/**
 * Create the row of an image in the table of the whole image.
 * @param {ImageValue} image
 */
function makeWholeRow(image) {
  const cells = ["psnr", "ssim", "gain", "time"].map((name) => make("td", { class: name }));
  const row = make("tr", { class: "line", "data-testid": "whole" }, make("th", { scope: "row" }, image.name), ...cells);
  row.hidden = true;
  return make("tbody", { "data-of": image.key, "data-method": image.method ?? "" }, row);
}

/**
 * Write scores into a line, or hide the line if there are none.
 * @param {HTMLElement} line
 * @param {Scores | undefined} scores
 * @param {Scores | undefined} base The scores of bicubic, for the gain; undefined for no gain.
 */
function writeLine(line, scores, base) {
  line.hidden = !scores;
  if (!scores) return;
  const find = (/** @type {string} */ name) => /** @type {HTMLElement} */ (line.querySelector(`.${name}`));
  for (const metric of /** @type {const} */ (["psnr", "ssim"])) {
    find(metric).textContent = scores[metric].text;
    find(metric).classList.toggle("best", scores[metric].best);
  }
  find("gain").textContent = base ? describeGain(scores, base) : "";
}

/**
 * The difference of two displayed PSNR values, with its sign; empty if one of them is not a number.
 * @param {Scores} scores
 * @param {Scores} base
 */
function describeGain(scores, base) {
  const gain = parseFloat(scores.psnr.text) - parseFloat(base.psnr.text);
  if (Number.isNaN(gain)) return "";
  return `${gain < 0 ? "−" : "+"}${Math.abs(gain).toFixed(2)} dB`;
}

/**
 * Create a panel.
 * @param {ImageValue[]} images The images on its canvas, from left to right. The key of the last image is the key of the panel.
 * @param {string} waiting Message over the canvas; empty for none.
 * @param {string} degradation See `makeCaption`.
 */
function makePanel(images, waiting, degradation) {
  const main = /** @type {ImageValue} */ (images.at(-1));
  const names = images.map((image) => image.name).join(" and ");
  const canvas = make("canvas", { "data-key": main.key, role: "img", "aria-label": `${names}, the region in view` });
  const pane = make("div", { class: "pane" }, canvas);
  if (waiting) pane.append(make("p", { class: "waiting" }, waiting));
  const captions = images.map((image) => makeCaption(image, degradation));
  return make("figure", { "data-panel": main.name }, pane, make("figcaption", {}, ...captions));
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
