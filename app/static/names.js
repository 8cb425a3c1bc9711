// Corrects names and groups of gradio's components, for screen readers and the keyboard.
() => {
  /** Name each thumbnail by its picture instead of its number, and tell which thumbnail is chosen. */
  function nameThumbnails() {
    for (const thumbnail of document.querySelectorAll(".thumbnail-item")) {
      const name = thumbnail.querySelector("img")?.alt;
      const isChosen = String(thumbnail.classList.contains("selected"));
      if (name && thumbnail.ariaLabel !== name) thumbnail.ariaLabel = name;
      if (thumbnail.ariaPressed !== isChosen) thumbnail.ariaPressed = isChosen;
    }
  }

  /** Make one group of the options of a choice. gradio gives each option its own group, so that each is a stop of Tab. */
  function groupOptions() {
    for (const choice of document.querySelectorAll("fieldset:has(input[type=radio])")) {
      const options = [...choice.querySelectorAll("input[type=radio]")];
      for (const option of options) if (option.name !== options[0].name) option.name = options[0].name;
      const label = choice.querySelector('[data-testid="block-info"]')?.textContent.trim();
      if (choice.role !== "radiogroup") choice.role = "radiogroup";
      if (label && choice.ariaLabel !== label) choice.ariaLabel = label;
    }
  }

  /** Name the buttons of the figure by more than the format. */
  function nameFigures() {
    for (const button of document.querySelectorAll('[id^="figure-"]:not(#figure-png, #figure-file)')) {
      const name = `Figure as ${button.textContent.trim()}`;
      if (button.ariaLabel !== name) button.ariaLabel = name;
    }
  }

  // gradio adds components when their tab is opened, and renames thumbnails when their number changes.
  let frame = 0;
  const correct = () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      nameThumbnails();
      groupOptions();
      nameFigures();
    });
  };
  const attributeFilter = ["class", "aria-label", "alt"];
  new MutationObserver(correct).observe(document.body, { subtree: true, childList: true, attributeFilter });
  correct();

  // The address of the page contains its state, so the skip link must not change the address.
  document.addEventListener("click", (event) => {
    if (!event.target.closest?.(".skip")) return;
    event.preventDefault();
    const places = [...document.querySelectorAll(".viewer, [role=tabpanel]")];
    const [panel] = places.filter((place) => place.matches("[role=tabpanel]") && place.offsetParent);
    const place = places.find((one) => one.matches(".viewer:not([hidden])") && one.offsetParent) ?? panel;
    if (!place) return;
    if (!place.hasAttribute("tabindex")) place.tabIndex = -1;
    place.focus();
  });
}
