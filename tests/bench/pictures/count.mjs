// What hinders reading a placed picture, counted in the same way whoever placed it.
//
// A picture is { width, height, boxes: [{ id, x, y, width, height }], arrows: [{ id, from, to, points: [[x, y]…],
// label: { x, y, width, height } or null }] }, in pixels from the upper left corner; curves come as many short pieces.

// Within so many pixels of a box that two arrows share, they may meet: that is where they begin or end.
const MEETING_PIXELS = 6;

const overlap = (one, other) => one.x < other.x + other.width && other.x < one.x + one.width
  && one.y < other.y + other.height && other.y < one.y + one.height;

const shrunk = (box, pixels) => ({
  x: box.x + pixels, y: box.y + pixels,
  width: Math.max(0, box.width - 2 * pixels), height: Math.max(0, box.height - 2 * pixels),
});

const pieces = (points) => points.slice(1).map((end, index) => [points[index], end]);

const turn = (a, b, c) => (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);

// Where two pieces cross, or null: each has its ends on both sides of the other.
function crossing([a, b], [c, d]) {
  const [first, second] = [turn(c, d, a), turn(c, d, b)];
  if (first * second >= 0 || turn(a, b, c) * turn(a, b, d) >= 0) return null;
  const part = first / (first - second);
  return [a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part];
}

// Whether a piece has a part inside a rectangle: by halves of the plane, cut off one after the other.
function isInside([[x0, y0], [x1, y1]], box) {
  let [enters, leaves] = [0, 1];
  for (const [direction, distance] of [
    [x0 - x1, x0 - box.x], [x1 - x0, box.x + box.width - x0], [y0 - y1, y0 - box.y], [y1 - y0, box.y + box.height - y0],
  ]) {
    if (direction === 0) { if (distance <= 0) return false; continue; }
    const at = distance / direction;
    if (direction < 0) enters = Math.max(enters, at); else leaves = Math.min(leaves, at);
  }
  return enters < leaves;
}

export function count(picture) {
  const { boxes, arrows, width, height } = picture;
  const box = new Map(boxes.map((one) => [one.id, one]));
  const lines = arrows.map((one) => ({ ...one, pieces: pieces(one.points) }));
  const near = ([x, y], one) => one && overlap({ x: x - MEETING_PIXELS, y: y - MEETING_PIXELS, width: 2 * MEETING_PIXELS, height: 2 * MEETING_PIXELS }, one);
  let crossings = 0;
  lines.forEach((one, index) => lines.slice(index + 1).forEach((other) => {
    const shared = [one.from, one.to].filter((id) => id === other.from || id === other.to).map((id) => box.get(id));
    for (const left of one.pieces) for (const right of other.pieces) {
      const at = crossing(left, right);
      if (at && !shared.some((end) => near(at, end))) crossings += 1;
    }
  }));
  const labels = arrows.filter((one) => one.label);
  const pairs = (left, right, is) => left.flatMap((one) => right.filter((other) => is(one, other))).length;
  return {
    width: Math.round(width), height: Math.round(height), boxes: boxes.length, arrows: arrows.length, crossings,
    text_on_text: labels.reduce((sum, one, index) => sum + labels.slice(index + 1).filter((other) => overlap(one.label, other.label)).length, 0),
    text_on_boxes: pairs(labels, boxes, (label, one) => overlap(shrunk(label.label, 0.5), one)),
    arrows_through_boxes: pairs(lines, boxes, (line, one) => one.id !== line.from && one.id !== line.to
      && line.pieces.some((piece) => isInside(piece, shrunk(one, 0.5)))),
    arrows_under_labels: pairs(lines, labels, (line, label) => line.id !== label.id
      && line.pieces.some((piece) => isInside(piece, shrunk(label.label, 1)))),
  };
}
