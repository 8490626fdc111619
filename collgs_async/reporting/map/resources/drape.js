// Drape pictures over the map: each is warped to the frame of its scene, and cut to its footprint.

const COARSE_PIXELS = 1; // by how much a cell of a picture may be off
const MOST_CELLS = 24; // along each side
const OVERLAP = 0.7; // pixels, so that no gap shows between cells

// The frame in the world: upper left, upper right, lower right, lower left corner.
function projectedFrame(scene, projection) {
  return scene.frame ? projectedLine(scene.frame, projection) : null;
}

// Draw an image into a frame on the screen: x and y of each corner.
function drape(context, image, frame) {
  const [ax, ay, bx, by, cx, cy, dx, dy] = frame;
  const twist = Math.hypot(ax + cx - bx - dx, ay + cy - by - dy); // 0 for a parallelogram
  const cells = Math.min(Math.max(Math.ceil(Math.sqrt(twist / COARSE_PIXELS)), 1), MOST_CELLS);
  const [wide, high] = [image.width / cells, image.height / cells];
  const at = (column, row) => {
    const [u, v] = [column / cells, row / cells];
    const mix = (a, b, c, d) => (1 - v) * ((1 - u) * a + u * b) + v * ((1 - u) * d + u * c);
    return [mix(ax, bx, cx, dx), mix(ay, by, cy, dy)];
  };
  const base = context.getTransform();
  for (let row = 0; row < cells; row += 1) {
    for (let column = 0; column < cells; column += 1) {
      const [[x, y], [rightX, rightY], [downX, downY]] = [at(column, row), at(column + 1, row), at(column, row + 1)];
      const [across, down] = [Math.hypot(rightX - x, rightY - y), Math.hypot(downX - x, downY - y)];
      if (!across || !down) continue;
      const more = cells > 1 ? OVERLAP : 0;
      context.setTransform(base);
      context.transform((rightX - x) / wide, (rightY - y) / wide, (downX - x) / high, (downY - y) / high, x, y);
      context.drawImage(
        image, column * wide, row * high, wide, high, 0, 0, wide * (1 + more / across), high * (1 + more / down),
      );
    }
  }
  context.setTransform(base);
}
