// A pasted image, or an image dropped anywhere on the page, is passed to the open tab if this tab accepts images.
() => {
  const TYPED = 'textarea, input:not([type="radio"], [type="checkbox"], [type="range"], [type="file"])';

  function take(files) {
    const file = [...files].find((one) => one.type.startsWith("image/"));
    const place = [document.querySelector("#upload")?.parentElement, document.querySelector("#small-image")];
    const input = place.find((one) => one?.offsetParent)?.querySelector('input[type="file"]');
    if (!file || !input) return;
    const given = new DataTransfer();
    given.items.add(file);
    input.files = given.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }

  document.addEventListener("paste", (event) => {
    if (!event.target.closest(TYPED)) take(event.clipboardData?.files ?? []);
  });
  for (const name of ["dragover", "drop"]) {
    document.addEventListener(name, (event) => {
      // Otherwise the browser would leave the page and open the file.
      if (event.defaultPrevented || !event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      if (name === "drop") take(event.dataTransfer.files);
    });
  }
}
