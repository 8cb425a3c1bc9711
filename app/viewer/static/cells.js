// The places of the panels in the stage's grid. These functions only calculate.

/**
 * A place in the grid; rows and columns count from 0.
 * @typedef {{ column: number, row: number }} Cell
 */

/**
 * The size of the grid, and the place of each panel; null for a panel that is left out. `overview` is the place of the
 * overview and the number of its rows; null if it covers a part of a panel.
 * @typedef {Object} Cells
 * @property {number} columns
 * @property {number} rows
 * @property {(Cell | null)[]} places
 * @property {Cell & { rows: number } | null} overview
 */

/**
 * Place panels in as few rows as possible, which are filled evenly.
 * @param {number} count Number of panels.
 * @param {number} most Largest number of panels in a row.
 * @returns {Cells}
 */
function evenCells(count, most) {
  const rows = Math.ceil(count / most), columns = Math.ceil(count / rows);
  const places = Array.from({ length: count }, (_, index) => ({ column: index % columns, row: Math.floor(index / columns) }));
  return { columns, rows, places, overview: null };
}

/**
 * Place panels in one row for each scale. The original is shown once: right of the first row, or above all rows if
 * there is no place beside them. The overview fills the place below it or right of it. The small images are left out if
 * the others fill a row.
 * @param {ImageValue[]} panels The panels of each scale, in the order of the scales; equally many for each scale.
 * @param {number} most Largest number of panels in a row.
 * @returns {Cells}
 */
function scaleCells(panels, most) {
  const inRows = panels.filter(({ role }) => role !== "original"), scales = new Set(inRows.map(({ scale }) => scale)).size;
  if (!scales) return evenCells(panels.length, most);
  const compared = inRows.length > scales * most ? inRows.filter(({ role }) => role !== "small") : inRows;
  const each = compared.length / scales;
  const hasOriginal = panels.some(({ role }) => role === "original"), isBeside = hasOriginal && each < most;
  const lines = Math.ceil(each / most), across = Math.ceil(each / lines);  // of one scale
  const above = hasOriginal && !isBeside ? 1 : 0, rows = above + scales * lines;
  const places = panels.map((panel) => {
    if (panel.role === "original") return { column: isBeside ? across : 0, row: 0 };
    const index = compared.indexOf(panel), inRow = index % each;
    if (index < 0) return null;
    return { column: inRow % across, row: above + Math.floor(index / each) * lines + Math.floor(inRow / across) };
  });
  const beside = isBeside && rows > 1 ? { column: across, row: 1, rows: rows - 1 } : null;
  const overview = above && across > 1 ? { column: 1, row: 0, rows: 1 } : beside;
  return { columns: across + (isBeside ? 1 : 0), rows, places, overview };
}
