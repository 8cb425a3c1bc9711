// The controls for the measured region: its coordinates, the tool that draws it, and the button that clears it.

/** The members of a region, in the order of the fields. */
const SIDES = /** @type {const} */ (["x", "y", "width", "height"]);

/** Fields with the coordinates of the measured region, and buttons for the region. */
class RegionBar {
  /** @type {HTMLElement} */
  #bar;
  /** @type {Viewport} */
  #viewport;
  /** @type {ChosenRegion} */
  #chosen;
  /** @type {RegionPicking} */
  #picking;
  /** @type {() => void} */
  #onChange;

  /**
   * @param {HTMLElement} root
   * @param {Viewport} viewport
   * @param {ChosenRegion} chosen
   * @param {RegionPicking} picking
   * @param {() => void} onChange Called after each change of the region.
   */
  constructor(root, viewport, chosen, picking, onChange) {
    this.#bar = /** @type {HTMLElement} */ (root.querySelector(".region-bar"));
    this.#viewport = viewport;
    this.#chosen = chosen;
    this.#picking = picking;
    this.#onChange = onChange;
    this.#button("tool").addEventListener("click", () => { picking.isTool = !picking.isTool; });
    this.#button("clear").addEventListener("click", () => this.#choose(null));
    const fields = /** @type {HTMLElement} */ (this.#bar.querySelector(".region-fields"));
    fields.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.#apply();
      else if (event.key === "Escape") this.update(true);
    });
    // The keyboards of some phones have no Enter key for numbers.
    fields.addEventListener("focusout", (event) => {
      if (!fields.contains(/** @type {Node | null} */ (event.relatedTarget)) && this.#isEdited) this.#apply();
    });
  }

  /**
   * Show the measured region, and whether it was chosen.
   * @param {boolean} [always] Whether to replace text that is being typed.
   */
  update(always = false) {
    const region = this.#chosen.region ?? this.#viewport.region, isChosen = this.#chosen.region !== null;
    this.#button("tool").setAttribute("aria-pressed", String(this.#picking.isTool));
    this.#button("clear").setAttribute("aria-disabled", String(!isChosen));  // stays focused, unlike a disabled button
    this.#bar.classList.toggle("chosen", isChosen);
    const isTyping = this.#fields.some((field) => field === document.activeElement);
    for (const field of this.#fields) {
      const value = String(region[/** @type {keyof Region} */ (field.name)]), isEdited = field.value !== field.defaultValue;
      if (isTyping && isEdited && !always) continue;
      field.defaultValue = field.value = value;
    }
  }

  get #fields() {
    return SIDES.map((side) => /** @type {HTMLInputElement} */ (this.#bar.querySelector(`input[name="${side}"]`)));
  }

  /** Whether a field has text that is not applied. */
  get #isEdited() {
    return this.#fields.some((field) => field.value !== field.defaultValue);
  }

  /** Choose the region of the fields; a field that is not a number keeps its value. */
  #apply() {
    const [x, y, width, height] = this.#fields.map((field) =>
      Number(/^\d{1,6}$/.test(field.value.trim()) ? field.value : field.defaultValue));
    this.#choose({ x, y, width, height });
  }

  /** @param {Region | null} region */
  #choose(region) {
    this.#chosen.choose(region);
    const now = this.#chosen.region, seen = this.#viewport.region;
    if (now && now.width <= seen.width && now.height <= seen.height) this.#viewport.reveal(now);
    else if (now) this.#viewport.showRegion(now);
    this.update(true);
    this.#onChange();
  }

  /** @param {string} action */
  #button(action) {
    return /** @type {HTMLElement} */ (this.#bar.querySelector(`[data-region="${action}"]`));
  }
}
