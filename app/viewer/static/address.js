// The address of the page, which contains its state: the images, the view and the open tab.

/** Time without a change after which the address is written, in ms. */
const SETTLED_AFTER = 500;

/** The form of a tab's name in an address. */
const TAB_NAME = /^[a-z]{1,20}$/;

/** The end of the identifiers of the tabs' buttons. */
const TAB_BUTTON = "-tab-button";

/**
 * Write a query. Commas stay as they are.
 * @param {URLSearchParams} query
 */
const queryText = (query) => query.toString().replaceAll("%2C", ",");

/** Writes the state into the address, without a new entry in the browser's history. */
class Address {
  /** @type {() => string | null} */
  #state;
  /** @type {string | null} */
  #first = null;  // the first state, which the address already describes
  #isChanged = false;
  #timer = 0;

  /**
   * @param {() => string | null} state Returns the query that describes the images and the view; null while they are
   *   not yet known.
   */
  constructor(state) {
    this.#state = state;
    const tab = new URLSearchParams(location.search).get("tab") ?? "";
    if (TAB_NAME.test(tab)) document.getElementById(tab + TAB_BUTTON)?.click();
    // gradio replaces the buttons of the tabs when the width of the window changes.
    new MutationObserver(() => this.note()).observe(document.body, { attributeFilter: ["aria-selected"], subtree: true });
  }

  /** Note that the state may have changed; the address is written when it does not change for a while. */
  note() {
    this.#first ??= Address.#essence(this.#state());
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => this.#write(), SETTLED_AFTER);
  }

  #write() {
    const state = this.#state();
    this.#isChanged ||= state !== null && Address.#essence(state) !== this.#first;
    const query = new URLSearchParams(state !== null && this.#isChanged ? state : location.search);
    const tab = document.querySelector(`[role="tab"][aria-selected="true"][id$="${TAB_BUTTON}"]`)?.id.replace(TAB_BUTTON, "");
    query.delete("tab");
    if (tab && tab !== "compare") query.set("tab", tab);
    const text = queryText(query), search = text && `?${text}`;
    if (search !== location.search) history.replaceState(history.state, "", location.pathname + search + location.hash);
  }

  /**
   * A state without the region in view, which changes when the page is laid out anew.
   * @param {string | null} state
   */
  static #essence(state) {
    return state === null ? null : state.replace(/&seen=[^&]*/, "");
  }
}
