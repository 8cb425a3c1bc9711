// Images that are pasted, dropped anywhere on the page, or chosen from the samples go to the tab in front.
() => {
  const TYPED = 'textarea, input:not([type="radio"], [type="checkbox"], [type="range"], [type="file"])';
  // The suffixes of drn/formats.py. Browsers do not know the types of all of these files.
  const SUFFIX = /\.(png|jpe?g|jpe|jfif|webp|gif|bmp|tiff?|p[pgbn]m|avif|hei[cf]|jxl)$/i;
  const NOTE_SECONDS = 12;

  const isImage = ({ name, type }) => SUFFIX.test(name) || (!/\.\w+$/.test(name) && type.startsWith("image/"));
  const suffix = (name) => name.match(/\.(\w{1,8})$/)?.[1].toUpperCase();

  const upscaleScales = () => [...document.querySelectorAll("#upscale-scale input")];
  const fits = (scale) => Math.floor(PHOTO_LIMITS.result / scale ** 2);
  const chosenScale = () => Number(upscaleScales().find(({ checked }) => checked)?.value);
  // The places for images; crop_uploads.js describes them.
  const places = [
    {
      name: "compare",
      text: "Drop one image to compare it",
      element: () => document.querySelector("#upload"),
      input: () => document.querySelector("#upload")?.parentElement.querySelector('input[type="file"]'),
      whole: () => PHOTO_LIMITS.compared,
      crop: () => PHOTO_LIMITS.crop,
      limit: () => `Photos of ${upTo(PHOTO_LIMITS.compared)} can be compared whole.`,
    },
    {
      name: "upscale",
      text: "Drop one image to upscale it",
      element: () => document.querySelector("#small-image"),
      input: () => document.querySelector('#small-image input[type="file"]'),
      whole: () => fits(chosenScale()),
      // A crop fits at every scale, so that the scale can be changed later.
      crop: () => Math.min(PHOTO_LIMITS.crop, ...upscaleScales().map(({ value }) => fits(Number(value)))),
      limit: (pixels) => {
        const fitting = upscaleScales().filter(({ value }) => pixels <= fits(Number(value))).map(({ value }) => `x${value}`);
        const instead = fitting.length ? ` It fits whole at ${fitting.join(" and ")}.` : "";
        return `At x${chosenScale()}, images of ${upTo(fits(chosenScale()))} can be enlarged.${instead}`;
      },
      remark: ({ type }) => {
        const choosable = document.querySelector("#upscale-weights")?.offsetParent;
        return type === "image/jpeg" && choosable ? ". It is sent as PNG, so Auto uses the clean weights: try Photo for a JPEG." : "";
      },
    },
  ];

  /** The place of the tab in front. */
  function target() {
    return places.find(({ element, input }) => element()?.offsetParent && input()) ?? null;
  }

  const overlay = document.createElement("div");
  overlay.id = "drop-overlay";
  overlay.hidden = true;
  const note = document.createElement("div");
  note.id = "drop-note";
  note.role = "alert";
  note.hidden = true;
  note.addEventListener("click", () => { note.hidden = true; });
  document.body.append(overlay, note);

  let timer;
  function refuse(files, reason) {
    const names = files.slice(0, 3).map(({ name }) => name).join(", ") + (files.length > 3 ? ", …" : "");
    note.textContent = `${names} ${files.length > 1 ? "were" : "was"} not opened: ${reason}`;
    note.hidden = false;
    clearTimeout(timer);
    timer = setTimeout(() => { note.hidden = true; }, NOTE_SECONDS * 1000);
  }

  function give(input, file) {
    const given = new DataTransfer();
    given.items.add(file.type ? file : new File([file], file.name, { type: `image/${suffix(file.name).toLowerCase()}` }));
    input.files = given.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }

  function take(files) {
    note.hidden = true;
    delete document.querySelector("#upscale-samples")?.dataset.started;
    const tab = target();
    if (files.length === 0) return;
    const others = files.filter((file) => !isImage(file));
    if (files.length > 1) refuse(files, "drop or paste one image at a time.");
    else if (others.length) {
      const kind = suffix(files[0].name);
      refuse(files, `${kind ? `a ${kind} file` : "it"} is not an image that can be read. Use PNG, JPEG, WebP, AVIF, HEIC or TIFF.`);
    } else if (!tab) refuse(files, "open the Compare or the Upscale tab first.");
    else give(tab.input(), files[0]);
  }

  cropLargePhotos(places, PHOTO_LIMITS.bytes, give, refuse);

  document.addEventListener("paste", (event) => {
    if (!event.target.closest(TYPED)) take([...(event.clipboardData?.files ?? [])]);
  });

  // Otherwise the browser would leave the page and open the file, or gradio would take it without these checks.
  function intercept(event) {
    if (!event.dataTransfer?.types.includes("Files")) return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  }
  for (const name of ["dragenter", "dragover"]) {
    document.addEventListener(name, (event) => {
      if (!intercept(event)) return;
      const tab = target();
      event.dataTransfer.dropEffect = "copy";
      overlay.textContent = tab?.text ?? "Open Compare or Upscale to drop an image";
      overlay.hidden = false;
    }, true);
  }
  document.addEventListener("dragleave", (event) => {
    if (intercept(event) && !event.relatedTarget) overlay.hidden = true;
  }, true);
  document.addEventListener("drop", (event) => {
    overlay.hidden = true;
    if (intercept(event)) take([...event.dataTransfer.files]);
  }, true);

  // A sample is uploaded like a file of the visitor. When it has arrived, the Upscale tab starts by itself.
  document.addEventListener("click", async (event) => {
    const image = event.target.closest("#upscale-samples .thumbnail-item")?.querySelector("img");
    const input = image && places.find(({ name }) => name === "upscale").input();
    if (!input) return;
    const name = image.src.split("/").pop(), answer = await fetch(image.src);
    if (!answer.ok) {
      refuse([{ name }], "the server no longer has this sample. Reload the page.");
      return;
    }
    const data = await answer.blob();
    document.querySelector("#upscale-samples").dataset.started = name;
    give(input, new File([data], name, { type: "image/png" }));
  });
}
