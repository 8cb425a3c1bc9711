// The synced viewer: N images of one scene under one viewport. The files of this folder are joined in the order
// view, panels, controls and run as gr.HTML's js_on_load, which provides `element`, `props`, `trigger`, `watch`.
// This file: the state, where things are, and drawing. All coordinates are ground-truth (HR) pixels; `zoom` is
// CSS pixels per HR pixel, from 1 up a whole number of the screen's own pixels, so that every image pixel is a square.
const ZOOMS = [1, 2, 3, 4, 6, 8, 12, 16];
const FLIP_KEYS = 6;
const MIN_PANEL = 220, MIN_PANEL_PHONE = 130;
const $ = (selector) => element.querySelector(selector);
const root = $(".viewer"), stage = $(".stage"), overview = $(".overview canvas");

let scene = null;               // the server's value
let pixels = new Map();         // key -> decoded image
let view = { x: 0, y: 0, zoom: "fit" };
let mode = "side";
let shown = new Set();         // keys of the panels, side by side
let known = new Set();         // keys met before: what a visitor hid stays hidden
let front = "drn", previous = "bicubic", left = "bicubic", divider = 0.5;
let wished = { front, left };  // what the visitor or the link chose; it comes back with the scene that has it
let reported = "";
// Where each picture was last looked at, shared by the viewers of the page.
const places = (window.drnPlaces ??= {});

const dots = () => window.devicePixelRatio || 1;

function fitZoom(box) {
  const zoom = Math.min(box.width / scene.width, box.height / scene.height) * dots();
  return (zoom >= 1 ? Math.floor(zoom) : zoom) / dots();
}

/** The zoom that comes closest to `zoom` in whole pixels of the screen. */
function snap(zoom) {
  return zoom * dots() >= 1 ? Math.round(zoom * dots()) / dots() : zoom;
}

function zoomFor(box) {
  return view.zoom === "fit" ? fitZoom(box) : snap(view.zoom);
}

/** Canvas pixels per HR pixel, and where HR (0, 0) lies on a canvas of `width` x `height` pixels. */
function placement(box, width, height) {
  const zoom = zoomFor(box) * dots(), k = zoom >= 1 ? Math.round(zoom) : zoom;
  return { k, ox: Math.round(width / 2 - view.x * k), oy: Math.round(height / 2 - view.y * k) };
}

function clampCentre(box) {
  const zoom = zoomFor(box);
  const clamp = (centre, visible, size) =>
    visible >= size ? size / 2 : Math.min(Math.max(centre, visible / 2), size - visible / 2);
  view.x = clamp(view.x, box.width / zoom, scene.width);
  view.y = clamp(view.y, box.height / zoom, scene.height);
}

function region(canvas) {
  const box = canvas.getBoundingClientRect();
  const { k, ox, oy } = placement(box, canvas.width, canvas.height);
  const x = Math.max(0, Math.floor(-ox / k)), y = Math.max(0, Math.floor(-oy / k));
  return {
    x, y,
    width: Math.min(scene.width, Math.ceil((canvas.width - ox) / k)) - x,
    height: Math.min(scene.height, Math.ceil((canvas.height - oy) / k)) - y,
  };
}

function drawImage(context, image, at, clip) {
  const bitmap = pixels.get(image.key), { canvas } = context, size = at.k * (image.role === "small" ? image.scale : 1);
  if (!bitmap) return;
  const x0 = Math.max(0, Math.floor((clip[0] - at.ox) / size)), y0 = Math.max(0, Math.floor(-at.oy / size));
  const x1 = Math.min(bitmap.width, Math.ceil((clip[1] - at.ox) / size));
  const y1 = Math.min(bitmap.height, Math.ceil((canvas.height - at.oy) / size));
  if (x1 <= x0 || y1 <= y0) return;
  context.save();
  context.beginPath();
  context.rect(clip[0], 0, clip[1] - clip[0], canvas.height);
  context.clip();
  context.imageSmoothingEnabled = size < 1;
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, x0, y0, x1 - x0, y1 - y0,
    at.ox + x0 * size, at.oy + y0 * size, (x1 - x0) * size, (y1 - y0) * size);
  context.restore();
}

function prepare(canvas) {
  const box = canvas.getBoundingClientRect();
  const width = Math.round(box.width * dots()), height = Math.round(box.height * dots());
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  return { context, at: placement(box, width, height), width };
}

function draw() {
  if (!scene) return;
  const canvases = [...stage.querySelectorAll("canvas")];
  if (!canvases.length || !canvases[0].getBoundingClientRect().width) return;
  clampCentre(canvases[0].getBoundingClientRect());
  for (const canvas of canvases) {
    const { context, at, width } = prepare(canvas);
    const cut = mode === "divider" ? Math.round(width * divider) : 0;
    if (cut) drawImage(context, find(left), at, [0, cut]);
    drawImage(context, find(canvas.dataset.key), at, [cut, width]);
  }
  drawOverview(region(canvases[0]));
  const zoom = zoomFor(canvases[0].getBoundingClientRect());
  const steps = levels(canvases[0].getBoundingClientRect());
  $(".size").max = String(steps.length - 1);
  $(".size").value = String(steps.findLastIndex((step) => snap(step) <= zoom + 1e-6));
  $(".zoom-now").textContent = `${Math.round(zoom * 100)} %`;
  $(".size").setAttribute("aria-valuetext", $(".zoom-now").textContent);
  for (const button of root.querySelectorAll("[data-zoom]")) {
    button.setAttribute("aria-pressed", String(String(view.zoom) === button.dataset.zoom));
  }
  places[scene.picture] = { ...view };
  report(region(canvases[0]));
}

function drawOverview(box) {
  const share = Math.min(1, 220 / Math.max(scene.width, scene.height));
  const [width, height] = [Math.round(scene.width * share), Math.round(scene.height * share)];
  const ratio = dots();
  if (overview.width !== width * ratio || overview.height !== height * ratio) {
    [overview.width, overview.height] = [width * ratio, height * ratio];
    [overview.style.width, overview.style.aspectRatio] = [`${width}px`, `${width} / ${height}`];
  }
  const context = overview.getContext("2d"), whole = scene.images.find((image) => image.role === "original") ?? scene.images[1];
  const bitmap = pixels.get(whole.key);
  context.imageSmoothingQuality = "high";
  if (bitmap) context.drawImage(bitmap, 0, 0, overview.width, overview.height);
  const k = share * ratio;
  context.fillStyle = "rgb(0 0 0 / 0.35)";
  context.beginPath();
  context.rect(0, 0, overview.width, overview.height);
  context.rect(box.x * k, box.y * k, box.width * k, box.height * k);
  context.fill("evenodd");
  for (const [colour, line] of [["#000", 4], ["#fff", 2]]) {
    context.strokeStyle = colour;
    context.lineWidth = line * ratio;
    context.strokeRect(box.x * k, box.y * k, box.width * k, box.height * k);
  }
}

let frame = 0;
function redraw() {
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(draw);
}
