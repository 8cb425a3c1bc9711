// Moving and choosing: mouse, touch, wheel, keys, buttons; and what arrives from the server.
const boxOf = () => stage.querySelector("canvas").getBoundingClientRect();

/** Change the zoom, keeping the HR point under (clientX, clientY) where it is. */
function zoomTo(zoom, clientX, clientY, box = boxOf()) {
  const before = zoomFor(box);
  view.zoom = zoom === fitZoom(box) ? "fit" : zoom;
  const after = zoomFor(box), dx = clientX - box.left - box.width / 2, dy = clientY - box.top - box.height / 2;
  view.x += dx / before - dx / after;
  view.y += dy / before - dy / after;
  redraw();
}

/** Zooms that the wheel and pinching stop at: the fitting one and the whole numbers above it. */
function levels(box) {
  const fit = fitZoom(box);
  return [fit, ...ZOOMS.filter((zoom) => snap(zoom) > fit)];
}

function zoomStep(direction, clientX, clientY, box = boxOf()) {
  const now = zoomFor(box), steps = levels(box);
  const next = direction > 0
    ? steps.find((zoom) => snap(zoom) > now + 1e-6) : steps.findLast((zoom) => snap(zoom) < now - 1e-6);
  if (next !== undefined) zoomTo(next, clientX, clientY, box);
}

function centred(action) {
  const box = boxOf();
  action(box.left + box.width / 2, box.top + box.height / 2);
}

function pan(dx, dy) {
  const zoom = zoomFor(boxOf());
  view.x += dx / zoom;
  view.y += dy / zoom;
  redraw();
}

/** Where to look first. */
function start() {
  const { x, y, fit, zoom, min_width: least } = scene.start, across = boxOf().width;
  if (fit) return { x, y, zoom: "fit" };
  const lower = ZOOMS.filter((step) => step <= zoom && across / step >= least);
  return { x, y, zoom: least && across ? lower.at(-1) ?? 1 : zoom };
}

function reset() {
  view = start();
  redraw();
}

const pointers = new Map();
let pinch = null;             // finger distance and zoom when two fingers met
let grabbed = null;           // the canvas under the first finger
let dividing = null;          // the pointer that holds the divider
// The stage captures them: what is under them may be replaced while it is dragged.
stage.addEventListener("pointerdown", (event) => {
  if (event.target.closest(".handle") && event.button === 0) {
    [dividing, grabbed] = [event.pointerId, null];
    stage.setPointerCapture(event.pointerId);
    return;
  }
  const canvas = event.target.closest("canvas");
  if (!canvas || event.button !== 0) return;
  root.focus({ preventScroll: true });
  stage.setPointerCapture(event.pointerId);
  if (!pointers.size) grabbed = canvas;
  pointers.set(event.pointerId, event);
  pinch = null;
});
stage.addEventListener("pointermove", (event) => {
  if (event.pointerId === dividing) {
    const box = boxOf();
    if (mode === "divider") divide((event.clientX - box.left) / box.width);
    return;
  }
  const before = pointers.get(event.pointerId);
  if (!before) return;
  if (!event.buttons) {
    pointers.delete(event.pointerId);
    return;
  }
  pointers.set(event.pointerId, event);
  if (pointers.size === 1) pan(before.clientX - event.clientX, before.clientY - event.clientY);
  else if (pointers.size === 2) {
    const [a, b] = [...pointers.values()], apart = Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
    const box = grabbed.isConnected ? grabbed.getBoundingClientRect() : boxOf();
    pinch = pinch || { apart, zoom: zoomFor(box) };
    const wanted = (pinch.zoom * apart) / pinch.apart, off = (zoom) => Math.abs(Math.log(zoom / wanted));
    const nearest = levels(box).reduce((best, zoom) => (off(zoom) < off(best) ? zoom : best));
    if (snap(nearest) !== zoomFor(box)) zoomTo(nearest, (a.clientX + b.clientX) / 2, (a.clientY + b.clientY) / 2, box);
  }
});
for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
  stage.addEventListener(name, (event) => {
    if (event.pointerId === dividing) dividing = null;
    pointers.delete(event.pointerId);
  });
}
let wheeled = 0;
stage.addEventListener("wheel", (event) => {
  const canvas = event.target.closest("canvas");
  if (!canvas) return;
  event.preventDefault();
  wheeled += event.deltaY;
  if (Math.abs(wheeled) < 40) return;
  zoomStep(wheeled < 0 ? 1 : -1, event.clientX, event.clientY, canvas.getBoundingClientRect());
  wheeled = 0;
}, { passive: false });
// What was captured is told to the stage itself.
stage.addEventListener("dblclick", (event) => (event.target === stage ? grabbed : event.target.closest("canvas")) && reset());

function moveFromOverview(event) {
  const box = overview.getBoundingClientRect();
  view.x = ((event.clientX - box.left) / box.width) * scene.width;
  view.y = ((event.clientY - box.top) / box.height) * scene.height;
  if (view.zoom === "fit") view.zoom = scene.start.zoom;
  redraw();
}
overview.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  overview.setPointerCapture(event.pointerId);
  moveFromOverview(event);
});
overview.addEventListener("pointermove", (event) => overview.hasPointerCapture(event.pointerId) && moveFromOverview(event));

root.addEventListener("keydown", (event) => {
  if (!scene || event.target.closest("select, input") || event.ctrlKey || event.metaKey || event.altKey) return;
  const far = boxOf().width / 8;
  const actions = {
    ArrowLeft: () => pan(-far, 0), ArrowRight: () => pan(far, 0), ArrowUp: () => pan(0, -far), ArrowDown: () => pan(0, far),
    "+": () => centred((x, y) => zoomStep(1, x, y)), "=": () => centred((x, y) => zoomStep(1, x, y)),
    "-": () => centred((x, y) => zoomStep(-1, x, y)), 0: () => centred((x, y) => zoomTo("fit", x, y)),
    " ": () => { if (mode === "side") mode = "single"; else bringToFront(previous); build(); },
    f: fullscreen, s: () => setMode("side"), d: () => setMode("divider"), r: reset,
  };
  const image = scene.images[Number(event.key) - 1];
  if (/^[1-6]$/.test(event.key) && image) {
    if (mode === "side") mode = "single";
    bringToFront(image.key);
    build();
  } else if (event.key === " " && event.target.closest("button")) return;
  else if (actions[event.key]) actions[event.key]();
  else return;
  event.preventDefault();
});

function fullscreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else root.requestFullscreen?.();
}

/** A link that opens this picture, scale, place and layout again. */
function link() {
  const zoom = view.zoom === "fit" ? { fit: "1" } : { zoom: String(view.zoom) };
  const place = new URLSearchParams({ x: view.x.toFixed(1), y: view.y.toFixed(1), ...zoom, layout: mode });
  if (mode === "side") place.set("shown", visible().map((image) => image.key).join());
  else place.set("front", front);
  if (mode === "divider") place.set("left", left);
  return `${location.origin}${location.pathname}?${scene.link}&${place}`;
}

async function copyLink(button) {
  try {
    await navigator.clipboard.writeText(link());
    button.textContent = "Copied";
  } catch {
    history.replaceState(null, "", link());
    button.textContent = "Link is in the address bar";
  }
  $(".said").textContent = button.textContent;
  setTimeout(() => (button.textContent = "Copy link"), 2500);
}

$(".bar").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button || !scene) return;
  if (button.dataset.mode) setMode(button.dataset.mode);
  else if (button.dataset.zoom) centred((x, y) => zoomTo(button.dataset.zoom === "fit" ? "fit" : Number(button.dataset.zoom), x, y));
  else if (button.dataset.do === "fullscreen") fullscreen();
  else if (button.dataset.do === "link") copyLink(button);
});
$(".size").addEventListener("input", (event) => centred((x, y) => zoomTo(levels(boxOf())[Number(event.target.value)], x, y)));
$(".left-choice select").addEventListener("change", (event) => {
  if (event.target.value === front) front = left;
  left = event.target.value;
  wished = { front, left };
  build();
});
$('[data-do="fullscreen"]').hidden = !document.fullscreenEnabled;
let wasSeen = false;
new ResizeObserver(() => {
  const isSeen = stage.clientWidth > 0, place = scene && places[scene.picture];
  if (isSeen && !wasSeen && place) view = { ...place };  // on another tab the picture may have been moved
  wasSeen = isSeen;
  layout();
}).observe(stage);
document.addEventListener("fullscreenchange", () => {
  $('[data-do="fullscreen"]').setAttribute("aria-pressed", String(document.fullscreenElement === root));
  layout();
});
addEventListener("resize", layout);
(function watchDots() {
  const change = () => (layout(), watchDots());
  matchMedia(`(resolution: ${dots()}dppx)`).addEventListener("change", change, { once: true });
})();

let shows = 0;

async function show(value) {
  const turn = ++shows;
  if (!value) {
    root.hidden = true;
    return;
  }
  const decoded = new Map(), wanted = new Set([front, left, ...shown]);
  const decode = (image) => {
    const bitmap = new Image();
    bitmap.src = image.file.url;
    return bitmap.decode().then(() => decoded.set(image.key, bitmap), () => null);  // without it the panel stays empty
  };
  const files = value.images.filter((image) => image.file), isWanted = (image) => image.shown || wanted.has(image.key);
  await Promise.all(files.filter(isWanted).map(decode));
  if (turn !== shows) return;  // a later scene, whose images were decoded sooner
  files.filter((image) => !isWanted(image)).forEach((image) => decode(image).then(redraw));
  if (turn > 1) root.ariaBusy = "false";  // what comes with the page is not what a link waits for
  const same = scene && scene.picture === value.picture;
  scene = value;
  pixels = decoded;
  root.dataset.picture = scene.picture;
  const keys = scene.images.map((image) => image.key);
  if (!same) {
    const { layout: asLinked, front: ahead, left: behind, shown: panels } = scene.start;
    if (asLinked !== "side") mode = asLinked;
    wished = { front: ahead || wished.front, left: behind || wished.left };
    if (panels.length) {
      shown = new Set(panels);
      known = new Set(keys);
    }
  }
  const pick = (wish, other, ...others) => [wish, ...others, ...keys].find((key) => keys.includes(key) && key !== other);
  front = pick(wished.front, mode === "divider" && wished.left !== wished.front ? wished.left : "", keys[2]);
  left = pick(wished.left, mode === "divider" ? front : "", keys[1]);
  previous = pick(previous, front, left);
  for (const image of scene.images) {
    if (image.shown && !known.has(image.key)) shown.add(image.key);
    known.add(image.key);
  }
  $('[data-do="link"]').hidden = !scene.link;
  build();
  $(".said").textContent = missing(scene.images) || "all images are there";
  if (!same) view = places[scene.picture] ? { ...places[scene.picture] } : start();
}
watch("value", () => show(props.value));
watch("numbers", showNumbers);
show(props.value);
