// The data that the server and the viewer's JavaScript exchange, for editors and type checkers. This file is not sent
// to the page. app/viewer/contract.py describes every field; a test checks that both files have the same types.

/** @typedef {"small" | "method" | "original" | "error_map" | "added_map"} Role */

/** @typedef {"side" | "divider" | "single" | "scales"} Layout */

/**
 * @typedef {Object} Region
 * @property {number} x
 * @property {number} y
 * @property {number} width
 * @property {number} height
 */

/**
 * @typedef {Object} StoredFile
 * @property {string} path
 * @property {Object<string, string>} meta
 * @property {string} [url]
 */

/**
 * @typedef {Object} Legend
 * @property {string} low
 * @property {string} high
 */

/**
 * @typedef {Object} ImageValue
 * @property {string} key
 * @property {Role} role
 * @property {number} scale
 * @property {string | null} method
 * @property {string} name
 * @property {string} note
 * @property {Legend | null} legend
 * @property {boolean} shown
 * @property {StoredFile | null} file
 */

/**
 * @typedef {Object} Viewpoint
 * @property {number} x
 * @property {number} y
 * @property {boolean} fit
 * @property {number} zoom
 * @property {number} min_width
 * @property {Layout} layout
 * @property {string} front
 * @property {string} left
 * @property {string[]} shown
 * @property {number} divider
 * @property {Region | null} region
 * @property {Region | null} seen
 */

/**
 * @typedef {Object} SceneValue
 * @property {string} token
 * @property {string} picture
 * @property {string} name
 * @property {number} width
 * @property {number} height
 * @property {number} shared_width
 * @property {number} shared_height
 * @property {ImageValue[]} images
 * @property {Viewpoint} start
 * @property {number | null} columns
 * @property {string} hint
 * @property {string | null} link
 * @property {boolean} failed
 * @property {string} degradation
 */

/**
 * @typedef {Object} Score
 * @property {string} text
 * @property {boolean} best
 */

/**
 * @typedef {Object} Scores
 * @property {Score} psnr
 * @property {Score} ssim
 */

/**
 * @typedef {Object} ImageNumbers
 * @property {Scores} region
 * @property {Scores} whole
 * @property {number | null} seconds
 */

/**
 * @typedef {Object} Numbers
 * @property {string} token
 * @property {Region} region
 * @property {Object<string, ImageNumbers>} scores
 */

/**
 * @typedef {Object} Props
 * @property {SceneValue | null} value
 * @property {Numbers | null} numbers
 * @property {boolean} address
 */

/**
 * @typedef {Object} ViewportEvent
 * @property {string} token
 * @property {Region} region
 */

/**
 * @typedef {Object} LinkQuery
 * @property {string} [region]
 * @property {string} [x]
 * @property {string} [y]
 * @property {string} [zoom]
 * @property {string} [fit]
 * @property {string} [seen]
 * @property {string} [layout]
 * @property {string} [shown]
 * @property {string} [front]
 * @property {string} [left]
 * @property {string} [divider]
 */

/**
 * @typedef {Object} ElementData
 * @property {string} picture
 * @property {string} seen
 * @property {string} fresh
 * @property {string} mode
 * @property {string} scales
 */
