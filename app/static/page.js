// An image that is pasted while the Compare tab is open is a photograph to compare.
() => document.addEventListener("paste", (event) => {
  const TYPED = 'textarea, input:not([type="radio"], [type="checkbox"], [type="range"], [type="file"])';
  const button = document.querySelector("#upload");
  const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
  const input = button?.parentElement.querySelector('input[type="file"]');
  if (!file || !input || !button.offsetParent || event.target.closest(TYPED)) return;
  const given = new DataTransfer();
  given.items.add(file);
  input.files = given.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
})
