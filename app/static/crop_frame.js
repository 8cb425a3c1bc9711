/** The rectangle of a crop in pixels of its photo: whole numbers, inside the photo, of at most `limit` pixels. */
class CropFrame {
  /** Shortest side of a frame, unless the photo is narrower. */
  static LEAST = 64;

  /** Start in the middle, with the largest size of the photo's aspect, but at most 4:3 or 3:4. */
  constructor(photoWidth, photoHeight, limit) {
    Object.assign(this, { photoWidth, photoHeight, limit });
    const aspect = Math.min(4 / 3, Math.max(3 / 4, photoWidth / photoHeight));
    this.width = Math.min(photoWidth, Math.round(Math.sqrt(limit * aspect)));
    this.height = Math.min(photoHeight, Math.floor(limit / this.width));
    this.width = Math.min(photoWidth, Math.floor(limit / this.height));
    this.moveTo((photoWidth - this.width) / 2, (photoHeight - this.height) / 2);
  }

  /** Move the top left corner to a position, as far as the photo reaches. */
  moveTo(x, y) {
    this.x = Math.round(Math.min(this.photoWidth - this.width, Math.max(0, x)));
    this.y = Math.round(Math.min(this.photoHeight - this.height, Math.max(0, y)));
  }

  /** Position of a corner; `right` and `bottom` say which. */
  corner({ right, bottom }) {
    return { x: this.x + (right ? this.width : 0), y: this.y + (bottom ? this.height : 0) };
  }

  /** Move a corner to a position while the opposite corner stays. Above the limit, the frame keeps this aspect. */
  moveCorner({ right, bottom }, x, y) {
    const still = this.corner({ right: !right, bottom: !bottom });
    const [widest, highest] = [right ? this.photoWidth - still.x : still.x, bottom ? this.photoHeight - still.y : still.y];
    const side = (length, longest) => Math.min(longest, Math.max(Math.min(CropFrame.LEAST, longest), Math.round(length)));
    let width = side(right ? x - still.x : still.x - x, widest);
    let height = side(bottom ? y - still.y : still.y - y, highest);
    const factor = Math.sqrt(this.limit / (width * height));
    if (factor < 1) {
      [width, height] = [side(Math.floor(width * factor), widest), side(Math.floor(height * factor), highest)];
      if (width > height) width = Math.min(width, Math.floor(this.limit / height));
      else height = Math.min(height, Math.floor(this.limit / width));
    }
    Object.assign(this, { width, height, x: still.x - (right ? 0 : width), y: still.y - (bottom ? 0 : height) });
  }
}
