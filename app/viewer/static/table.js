// The numbers of a scene as a table, for the clipboard and for files.

/**
 * The displayed numbers: the name of the photograph, the images that have numbers or will have them, the degradation of
 * the LR images (empty without one), and the numbers.
 * @typedef {{ photograph: string, images: ImageValue[], degradation: string, numbers: Numbers }} ShownNumbers
 */

/** Head of the table. */
const COLUMNS = ["method", "PSNR", "SSIM", "region", "image", "scale", "LR"];

/** Name of the region in the rows of the whole image. */
const WHOLE = "whole image";

/**
 * The table of the displayed numbers: for each method, a row for the region and a row for the whole image.
 * @param {ShownNumbers} shown
 * @returns {string[][]}
 */
function numbersTable({ photograph, images, degradation, numbers }) {
  const lr = degradation ? `bicubic then ${degradation} (outside the benchmark protocol)` : "bicubic";
  const rows = (/** @type {"region" | "whole"} */ area, /** @type {string} */ region) =>
    images.filter(({ key }) => numbers.scores[key]).map(({ key, name, scale }) => {
      const { psnr, ssim } = numbers.scores[key][area];
      return [name, plainNumber(psnr.text), plainNumber(ssim.text), region, photograph, String(scale), lr];
    });
  return [COLUMNS, ...rows("region", regionText(numbers.region)), ...rows("whole", WHOLE)];
}

/**
 * A displayed number without its unit; empty if there is none.
 * @param {string} text
 */
const plainNumber = (text) => text.replace(" dB", "").replace("∞", "inf").replace("–", "");

/**
 * Write a table with tabs between the cells. White space in a cell becomes a single space.
 * @param {string[][]} table
 */
const asText = (table) => table.map((row) => row.map((cell) => cell.replace(/\s+/g, " ")).join("\t")).join("\n") + "\n";

/**
 * Write a table as CSV.
 * @param {string[][]} table
 */
function asCsv(table) {
  const quoted = (/** @type {string} */ cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
  return table.map((row) => row.map(quoted).join(",")).join("\r\n") + "\r\n";
}

/**
 * Name of the file with the displayed numbers.
 * @param {ShownNumbers} shown
 */
function csvName({ photograph, images, degradation }) {
  const scales = [...new Set(images.map(({ scale }) => `x${scale}`))];
  return [photograph, ...scales, degradation.replaceAll(" ", ""), "numbers.csv"].filter(Boolean).join("_");
}

/** The buttons that copy the numbers, and save them as a file. */
class NumbersExport {
  /** @type {() => ShownNumbers | null} */
  #shown;
  /** @type {(text: string) => void} */
  #say;
  /** @type {Node[]} */
  #label;

  /**
   * @param {HTMLElement} root
   * @param {() => ShownNumbers | null} shown Returns the displayed numbers; null if there are none.
   * @param {(text: string) => void} say Announces a text.
   */
  constructor(root, shown, say) {
    this.#shown = shown;
    this.#say = say;
    const copy = /** @type {HTMLElement} */ (root.querySelector('[data-region="copy"]'));
    this.#label = [...copy.childNodes];
    copy.addEventListener("click", () => void this.#copy(copy));
    root.querySelector('[data-region="csv"]')?.addEventListener("click", () => this.#save());
  }

  /** @param {HTMLElement} button */
  async #copy(button) {
    const shown = this.#shown();
    if (!shown) return;
    try {
      await navigator.clipboard.writeText(asText(numbersTable(shown)));
      button.textContent = "Copied";
    } catch {
      button.textContent = "The browser does not allow copying";
    }
    this.#say(button.textContent);
    setTimeout(() => button.replaceChildren(...this.#label), SAID_FOR);
  }

  #save() {
    const shown = this.#shown();
    if (!shown) return;
    const file = URL.createObjectURL(new Blob([asCsv(numbersTable(shown))], { type: "text/csv" }));
    /** @type {HTMLAnchorElement} */ (make("a", { href: file, download: csvName(shown) })).click();
    setTimeout(() => URL.revokeObjectURL(file), SAID_FOR);
  }
}
