// The stage: panels, captions with their numbers, chips, the divider.
const REPORT_EVERY = 120, ASK_AGAIN = 5000;  // milliseconds
let askTimer = 0, againTimer = 0, askedAt = 0, asked = "";

/** Ask for the numbers of a region: while the view moves too, but not more often than they can be had. */
function report(box) {
  $(".place").textContent = `${box.width}×${box.height} pixels at ${box.x}, ${box.y}`;
  const key = JSON.stringify({ token: scene.token, region: box });
  if (key === reported) return;
  root.dataset.seen = reported = key;
  showNumbers();
  askTimer ||= setTimeout(ask, Math.max(30, askedAt + REPORT_EVERY - performance.now()));
}

/** One question at a time: where the answers are slow the next one is the newest, not a queue of old ones. */
function ask() {
  askTimer = 0;
  const { token } = JSON.parse(reported);
  if (root.dataset.fresh === "true" || (asked && JSON.parse(asked).token === token)) return;
  [asked, askedAt] = [reported, performance.now()];
  clearTimeout(againTimer);
  againTimer = setTimeout(() => { asked = ""; ask(); }, ASK_AGAIN);
  trigger("viewport", JSON.parse(reported));
}

function showNumbers() {
  const numbers = props.numbers, answered = numbers && JSON.stringify({ token: numbers.token, region: numbers.region });
  root.dataset.fresh = String(Boolean(numbers) && answered === reported);
  if (asked && answered === asked) {
    asked = "";
    if (answered !== reported) askTimer ||= setTimeout(ask, 0);
  }
  if (!scene || numbers?.token !== scene.token) return;
  for (const figure of stage.querySelectorAll("figure")) {
    for (const caption of figure.querySelectorAll("[data-of]")) {
      const score = numbers.scores[caption.dataset.of];
      caption.querySelector(".numbers").hidden = !score;
      if (!score) continue;
      for (const which of ["region", "whole"]) {
        for (const [name, { text, best }] of Object.entries(score[which])) {
          const place = caption.querySelector(`.${which} .${name}`);
          place.textContent = text;
          place.classList.toggle("best", best);
        }
      }
      caption.querySelector(".time").textContent = `whole image in ${score.seconds.toFixed(2)} s`;
    }
  }
}

const find = (key) => scene.images.find((image) => image.key === key) || scene.images[0];

/** The panels side by side: those chosen, or, where none of them is in this scene, its own first ones. */
function visible() {
  const chosen = scene.images.filter((image) => shown.has(image.key));
  return chosen.length ? chosen : scene.images.filter((image) => image.shown);
}

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") node.textContent = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function caption(image) {
  const line = (which, label) => make("div", { class: `line ${which}`, "data-testid": which },
    make("span", { class: "what", text: label }), make("span", { class: "psnr", text: "…" }), make("span", { class: "ssim" }));
  const numbers = make("div", { class: "numbers" }, line("region", "in view"), line("whole", "image"), make("p", { class: "time" }));
  numbers.hidden = true;
  const note = make("span", { class: "note", text: image.note });
  const head = make("p", { class: "name" }, make("strong", { text: image.name }), " ", note);
  if (image.legend) {
    head.append(make("span", { class: `legend ${image.role}`, "aria-hidden": "true" },
      make("i", { text: image.legend.low }), make("i", { text: image.legend.high })));
  }
  return make("div", { class: "caption", "data-of": image.key }, head, numbers);
}

/** What is said of those among `images` that are not there; nothing if all are. */
function missing(images) {
  const names = images.filter((image) => !image.file).map((image) => image.name).join(" and ");
  if (!names) return "";
  return scene.failed ? `no ${names}: it could not be computed` : `computing ${names}…`;
}

function panel(key, captions) {
  const names = captions.map((image) => image.name).join(" and ");
  const canvas = make("canvas", { "data-key": key, role: "img", "aria-label": `${names}, the region in view` });
  const frame = make("div", { class: "pane" }, canvas);
  const told = missing(captions);
  if (told) frame.append(make("p", { class: "waiting", text: told }));
  if (mode === "divider") frame.append(handle());
  return make("figure", { "data-panel": captions.at(-1).name }, frame,
    make("figcaption", {}, ...captions.map(caption)));
}

function handle() {
  const node = make("div", {
    class: "handle", role: "slider", tabindex: "0", "aria-label": "Divider between the two images",
    "aria-valuemin": "0", "aria-valuemax": "100", "data-testid": "divider",
  });
  node.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowLeft: -0.02, ArrowRight: 0.02, ArrowDown: -0.02, ArrowUp: 0.02, PageDown: -0.1, PageUp: 0.1, Home: -1, End: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    divide(divider + step);
  });
  return node;
}

function divide(share) {
  divider = Math.min(1, Math.max(0, share));
  const node = $(".handle");
  node.style.left = `${divider * 100}%`;
  node.setAttribute("aria-valuenow", String(Math.round(divider * 100)));
  redraw();
}

function build() {
  if (!scene) return;
  const focused = root.contains(document.activeElement) ? document.activeElement : null;
  root.hidden = false;
  root.dataset.mode = mode;
  $(".hint").textContent = scene.hint;
  for (const button of root.querySelectorAll("[data-mode]")) {
    button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
  }
  buildChips();
  if (mode === "side") stage.replaceChildren(...visible().map((image) => panel(image.key, [image])));
  else if (mode === "single") stage.replaceChildren(panel(front, [find(front)]));
  else {
    stage.replaceChildren(panel(front, [find(left), find(front)]));
    divide(divider);
  }
  layout();
  showNumbers();
  if (focused && !focused.isConnected) {
    const chip = [...root.querySelectorAll(".chips button")].find((one) => one.dataset.key === focused.dataset.key);
    ((focused.matches(".handle") ? $(".handle") : chip) ?? root).focus({ preventScroll: true });
  }
}

/** [column, row] of each image of a scene in rows: one that is hidden leaves a gap, a column or row of them does not. */
function cellsOf(images) {
  const at = images.map((image) => scene.images.indexOf(image));
  const ranks = (of) => [...new Set(at.map(of))].sort((a, b) => a - b);
  const column = (index) => index % scene.columns, row = (index) => Math.floor(index / scene.columns);
  const columns = ranks(column), rows = ranks(row);
  return at.map((index) => [columns.indexOf(column(index)), rows.indexOf(row(index))]);
}

/** As many columns as fit, all panels alike, filling the screen in fullscreen; rows of a scene stay rows. */
function layout() {
  const width = stage.clientWidth;
  const least = width < 600 ? MIN_PANEL_PHONE : MIN_PANEL;
  const most = Math.max(1, Math.floor((width + 8) / (least + 8)));
  const cells = mode === "side" && scene?.columns ? cellsOf(visible()) : [...stage.children].map((_, index) => [index, 0]);
  const across = Math.max(0, ...cells.map(([column]) => column)) + 1;
  const lines = Math.ceil(across / Math.min(across, most)), columns = Math.ceil(across / lines);
  const rows = (Math.max(0, ...cells.map(([, row]) => row)) + 1) * lines;
  // Whole pixels of the screen, or the canvases would be resampled.
  const one = Math.floor(((width - 8 * (columns - 1)) / columns) * dots()) / dots();
  stage.style.gridTemplateColumns = `repeat(${columns}, ${one}px)`;
  cells.forEach(([column, row], index) => {
    const line = row * lines + Math.floor(column / columns);
    stage.children[index].style.gridArea = `${line + 1} / ${(column % columns) + 1}`;
  });
  const room = (document.fullscreenElement === root ? window.innerHeight - 360 : window.innerHeight * 0.72) / rows;
  const least_height = Math.min(one, 150);
  const height = Math.floor(Math.max(least_height, Math.min(one, room)) * dots()) / dots();
  stage.style.setProperty("--height", `${height}px`);
  redraw();
}

function buildChips() {
  const panels = new Set(visible().map((image) => image.key));
  const pressed = { side: (key) => panels.has(key), single: (key) => key === front, divider: (key) => key === front }[mode];
  $(".chips").replaceChildren(...scene.images.map((image, index) => {
    const hint = index < FLIP_KEYS ? `${index + 1} ` : "";
    const chip = make("button", { type: "button", "aria-pressed": String(pressed(image.key)), "data-key": image.key },
      make("kbd", { text: hint }), image.name);
    chip.addEventListener("click", () => choose(image.key));
    return chip;
  }));
  $(".left-choice").hidden = mode !== "divider";
  $(".left-choice select").replaceChildren(...scene.images.map((image) => {
    const option = make("option", { value: image.key, text: image.name });
    option.selected = image.key === left;
    return option;
  }));
}

function choose(key) {
  if (mode === "side") {
    for (const image of visible()) shown.add(image.key);
    if (!shown.delete(key)) shown.add(key);
    if (!scene.images.some((image) => shown.has(image.key))) shown.add(key);
  } else bringToFront(key);
  build();
}

function bringToFront(key) {
  if (key === front) return;
  if (mode === "divider" && key === left) left = front;
  [previous, front] = [front, key];
  wished = { front, left };
}

function setMode(next) {
  mode = next;
  if (left === front) left = previous === front ? scene.images.find((image) => image.key !== front).key : previous;
  wished = { front, left };
  build();
}
