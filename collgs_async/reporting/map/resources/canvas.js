// A canvas at the resolution of the screen.

function createCanvas(element) {
  const context = element.getContext("2d");
  const canvas = { element, context, width: 0, height: 0, clear, fit };

  // Adopt the size from the style sheet; return whether it has changed.
  function fit() {
    const { width, height } = element.getBoundingClientRect();
    const sharpness = devicePixelRatio || 1;
    const [wide, high] = [Math.round(width * sharpness), Math.round(height * sharpness)];
    const isSame = element.width === wide && element.height === high;
    if (!isSame) Object.assign(element, { width: wide, height: high });
    Object.assign(canvas, { width, height });
    context.setTransform(sharpness, 0, 0, sharpness, 0, 0);
    return !isSame;
  }

  function clear() {
    context.clearRect(0, 0, canvas.width, canvas.height);
  }

  return canvas;
}

// Add a line to the path. Points on the same pixel are skipped, except the last one.
function trace(context, view, line, turn, close) {
  const { points } = line;
  const shift = view.width / 2 - (view.x - turn) * view.scale;
  const drop = view.height / 2 - view.y * view.scale;
  let [lastX, lastY] = [NaN, NaN];
  for (let at = 0; at < points.length; at += 2) {
    const x = points[at] * view.scale + shift;
    const y = points[at + 1] * view.scale + drop;
    if (at === 0) context.moveTo(x, y);
    else if (Math.abs(x - lastX) < 0.6 && Math.abs(y - lastY) < 0.6 && at < points.length - 2) continue;
    else context.lineTo(x, y);
    [lastX, lastY] = [x, y];
  }
  if (close) context.closePath();
}

// The same for an outline: there is no edge where the world is cut, at 180° and at the poles.
function traceEdges(context, view, line, turn) {
  const { points, cuts } = line;
  const shift = view.width / 2 - (view.x - turn) * view.scale;
  const drop = view.height / 2 - view.y * view.scale;
  for (let at = 0; at < points.length; at += 2) {
    const [x, y] = [points[at] * view.scale + shift, points[at + 1] * view.scale + drop];
    if (at > 0 && !cuts[at / 2]) context.lineTo(x, y);
    else context.moveTo(x, y);
  }
}
