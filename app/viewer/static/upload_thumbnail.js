// The thumbnail of the visitor's photograph, before the thumbnails of the examples.

/** gradio's gallery, and the input that receives the visitor's photograph. */
const EXAMPLES = "#examples", UPLOAD_INPUT = "#options input[type=file]";

/** Shows the uploaded photograph among the thumbnails; a click uploads it again after an example was chosen. */
class UploadThumbnail {
  #button = /** @type {HTMLButtonElement} */ (make("button", { type: "button", id: "own-photograph", class: "thumbnail-item" }));
  #image = /** @type {HTMLImageElement} */ (make("img", { alt: "" }));
  /** @type {File | null} */
  #given = null;   // the file that the visitor chose last, which the server may refuse
  /** @type {File | null} */
  #file = null;    // the file of the thumbnail
  #picture = "";   // identifies the photograph of the thumbnail

  constructor() {
    this.#button.hidden = true;
    this.#button.append(this.#image);
    document.addEventListener("change", ({ target }) => {
      if (target === this.#input) this.#given = this.#input.files?.[0] ?? null;
    });
    this.#button.addEventListener("click", () => this.#openAgain());
  }

  /**
   * Show which photograph a scene has.
   * @param {SceneValue} scene
   */
  show({ link, picture, name, images }) {
    const isUpload = link === null;
    this.#button.classList.toggle("selected", isUpload);
    if (!isUpload || picture === this.#picture) return;
    this.#picture = picture;
    this.#file = this.#given;
    this.#image.src = images.find(({ role }) => role === "original")?.file?.url ?? "";
    this.#image.alt = `${name} (your photograph)`;
    this.#button.title = name;
    this.#button.hidden = false;
    document.querySelector(EXAMPLES)?.before(this.#button);
  }

  /** Upload the photograph again, because the server keeps only the photograph that is shown. */
  #openAgain() {
    const input = this.#input;
    if (!input || !this.#file || this.#button.classList.contains("selected")) return;
    const given = new DataTransfer();
    given.items.add(this.#file);
    input.files = given.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }

  get #input() {
    return /** @type {HTMLInputElement | null} */ (document.querySelector(UPLOAD_INPUT));
  }
}
