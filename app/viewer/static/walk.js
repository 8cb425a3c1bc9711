// Walking through the photographs of the Compare tab, by buttons and keys.

/** The photographs, in their order. */
const PHOTOGRAPHS = "#options .thumbnail-item:not([hidden])";

/** Direction of each key. */
const STEPS = new Map([["[", -1], ["]", 1]]);

/** Chooses the photograph before or after the present one. */
class PhotographWalk {
  /** @type {() => void} */
  #onStep;

  /**
   * @param {HTMLElement} root
   * @param {() => void} onStep Called before another photograph is chosen.
   */
  constructor(root, onStep) {
    this.#onStep = onStep;
    const buttons = /** @type {HTMLElement} */ (root.querySelector(".walk"));
    buttons.hidden = false;
    buttons.addEventListener("click", (event) => {
      const button = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("button"));
      if (button) this.#choose(Number(button.dataset.step));
    });
    root.addEventListener("keydown", ({ key, target }) => {
      const step = STEPS.get(key);
      if (step && !(/** @type {Element} */ (target).closest("input, select"))) this.#choose(step);
    });
  }

  /**
   * Choose a photograph; the first one follows the last one. If none is chosen, start at an end of the row.
   * @param {number} step 1 for the next photograph, -1 for the previous one.
   */
  #choose(step) {
    const all = /** @type {HTMLElement[]} */ ([...document.querySelectorAll(PHOTOGRAPHS)]);
    const now = all.findIndex((photograph) => photograph.classList.contains("selected"));
    const next = now < 0 && step < 0 ? all.length - 1 : (now + step + all.length) % all.length;
    if (next === now || !all.length) return;
    this.#onStep();
    all[next].click();
  }
}
