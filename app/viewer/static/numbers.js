// The scores of the region in view: when to request them from the server, and which answer is the latest.

/** Least time between two requests, in ms. */
const ASK_EVERY = 120;

/** Time from the first move to the first request, in ms. */
const ASK_AFTER = 30;

/** Time after which a request without an answer is sent again, in ms. */
const ASK_AGAIN = 5000;

/**
 * The clock and the timers of the page; tests replace them.
 * @typedef {Object} Clock
 * @property {() => number} now Milliseconds.
 * @property {(action: () => void, delay: number) => number} start
 * @property {(timer: number) => void} stop
 */

/** @type {Clock} */
const PAGE_CLOCK = {
  now: () => performance.now(),
  start: (action, delay) => window.setTimeout(action, delay),
  stop: (timer) => window.clearTimeout(timer),
};

/**
 * Requests numbers while the view moves. Only one request of a scene is open at a time, and the next request is for the
 * newest region, so that a slow server gets no queue of outdated requests.
 */
class NumbersFeed {
  /** @type {(event: ViewportEvent) => void} */
  #send;
  /** @type {Clock} */
  #clock;
  #wanted = "";  // the newest request, as JSON
  #open = "";    // the request that waits for its answer, as JSON
  #sentAt = -Infinity;
  #nextTimer = 0;
  #againTimer = 0;
  /** @type {Numbers | null} */
  #received = null;  // the last answer
  /** @type {Numbers | null} */
  #current = null;   // the answer to display

  /**
   * @param {(event: ViewportEvent) => void} send Sends a request to the server.
   * @param {Clock} clock
   */
  constructor(send, clock = PAGE_CLOCK) {
    this.#send = send;
    this.#clock = clock;
  }

  /** The newest request, as the JSON of a `ViewportEvent`; empty before the first one. */
  get wanted() {
    return this.#wanted;
  }

  /** Whether the displayed numbers are the answer to the newest request. */
  get isFresh() {
    return this.#wanted !== "" && NumbersFeed.#question(this.#current) === this.#wanted;
  }

  /**
   * The numbers to display for a scene, with their region; null if there are none yet.
   * @param {string} token
   */
  numbersOf(token) {
    return this.#current?.token === token ? this.#current : null;
  }

  /**
   * Request the numbers of a region; the request is sent after a short delay.
   * @param {ViewportEvent} event
   */
  ask({ token, region }) {
    const wanted = NumbersFeed.#question({ token, region });
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    // gradio does not report an answer that equals the previous answer.
    if (NumbersFeed.#question(this.#received) === wanted) this.#current = this.#received;
    this.#askIn(Math.max(ASK_AFTER, this.#sentAt + ASK_EVERY - this.#clock.now()));
  }

  /**
   * Receive an answer. A late answer does not replace the numbers of the newest request.
   * @param {Numbers | null} numbers
   */
  receive(numbers) {
    const answered = NumbersFeed.#question(numbers);
    this.#received = numbers;
    if (!this.isFresh || answered === this.#wanted) this.#current = numbers;
    if (this.#open === "" || answered !== this.#open) return;
    this.#open = "";
    this.#clock.stop(this.#againTimer);
    if (answered !== this.#wanted) this.#askIn(0);
  }

  /** @param {number} delay */
  #askIn(delay) {
    this.#nextTimer ||= this.#clock.start(() => {
      this.#nextTimer = 0;
      this.#sendNewest();
    }, delay);
  }

  #sendNewest() {
    /** @type {ViewportEvent} */
    const newest = JSON.parse(this.#wanted);
    const isOpen = this.#open !== "" && JSON.parse(this.#open).token === newest.token;
    if (this.isFresh || isOpen) return;
    this.#open = this.#wanted;
    this.#sentAt = this.#clock.now();
    this.#clock.stop(this.#againTimer);
    this.#againTimer = this.#clock.start(() => {
      this.#open = "";
      this.#sendNewest();
    }, ASK_AGAIN);
    this.#send(newest);
  }

  /**
   * The request to which `numbers` are the answer, as JSON with a fixed order of fields; empty for null.
   * @param {ViewportEvent | Numbers | null} numbers
   */
  static #question(numbers) {
    if (!numbers) return "";
    const { token, region: { x, y, width, height } } = numbers;
    return JSON.stringify({ token, region: { x, y, width, height } });
  }
}
