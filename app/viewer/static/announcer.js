// What screen readers are told about the numbers and the image in front.

/** Time for which the numbers must stay the same before they are announced, in ms. */
const ANNOUNCED_AFTER = 1000;

/**
 * Describe the numbers of the displayed images in one sentence; empty if there are none.
 * @param {ImageValue[]} images
 * @param {Numbers} numbers
 */
function describeNumbers(images, numbers) {
  const { x, y, width, height } = numbers.region;
  const parts = images.filter(({ key }) => numbers.scores[key]).map(({ key, name }) => {
    const { psnr, ssim } = numbers.scores[key].region;
    return `${name} ${psnr.text}, SSIM ${ssim.text}`;
  });
  return parts.length ? `${width} by ${height} pixels at ${x}, ${y}: ${parts.join("; ")}.` : "";
}

/** Announces a text when it has settled; each text once. */
class Announcer {
  /** @type {(text: string) => void} */
  #say;
  #said = "";
  #timer = 0;

  /** @param {(text: string) => void} say Announces a text politely. */
  constructor(say) {
    this.#say = say;
  }

  /**
   * Announce a text, unless another one follows soon.
   * @param {string} text
   */
  note(text) {
    clearTimeout(this.#timer);
    if (!text || text === this.#said) return;
    this.#timer = window.setTimeout(() => {
      this.#said = text;
      this.#say(text);
    }, ANNOUNCED_AFTER);
  }
}
