// Project degrees to a unit square, which is usually repeated to both sides, and that to the screen.

const MERCATOR_END = 85.0511;
const RADIANS = Math.PI / 180;
const EQUATOR = 40075017; // metres

// Mercator keeps shapes, but ends before the poles: what reaches one of them, or goes all around it, is shown in
// stereographic projection, which keeps shapes too; if it also extends far from the pole, in plate carrée.
function createProjection(lines) {
  const latitudes = lines.flatMap((line) => line.filter((_, at) => at % 2));
  const doesReach = latitudes.some((latitude) => Math.abs(latitude) > 82);
  const side = [1, -1].find((sign) => latitudes.every((latitude) => sign * latitude > 45));
  const [middle, isAround] = turned(lines);
  if (side && (doesReach || isAround)) return stereographic(side, middle);
  return doesReach ? evenDegrees(latitudes) : mercator();
}

// The centre of the longitudes on their circle, and whether they cover all of it.
function turned(lines) {
  const longitudes = lines.flatMap((line) => line.filter((_, at) => at % 2 === 0)).map((degrees) => degrees * RADIANS);
  const mean = (wave) => longitudes.reduce((sum, longitude) => sum + wave(longitude), 0) / longitudes.length;
  const [north, east] = [mean(Math.cos), mean(Math.sin)];
  const isAround = Math.hypot(north, east) < 0.5;
  return [isAround ? 0 : Math.round(Math.atan2(east, north) / RADIANS), isAround];
}

function mercator() {
  return cylindrical({
    end: MERCATOR_END,
    y: (latitude) => {
      const clipped = Math.min(Math.max(latitude, -MERCATOR_END), MERCATOR_END);
      return 0.5 - Math.log(Math.tan(Math.PI / 4 + (clipped * RADIANS) / 2)) / (2 * Math.PI);
    },
    latitude: (y) => (2 * Math.atan(Math.exp((0.5 - y) * 2 * Math.PI)) - Math.PI / 2) / RADIANS,
  });
}

function evenDegrees(latitudes) {
  const middle = (smallest(latitudes) + largest(latitudes)) / 2;
  const stretch = 1 / Math.max(Math.cos(middle * RADIANS), 0.25);
  return cylindrical({
    end: 90,
    y: (latitude) => 0.5 - (latitude / 360) * stretch,
    latitude: (y) => ((0.5 - y) * 360) / stretch,
  });
}

function cylindrical({ end, y, latitude }) {
  return {
    end,
    latitude,
    isRound: true,
    top: y(90),
    bottom: y(-90),
    longest: Infinity, // degrees of an edge that may be drawn straight
    x: (longitude) => (longitude + 180) / 360,
    y: (_, north) => y(north),
    longitude: (x) => x * 360 - 180,
    metres: (_, at) => EQUATOR * Math.cos(latitude(at) * RADIANS),
  };
}

// One hemisphere as a disc around the pole; `middle` points down for the north pole, up for the south pole.
function stereographic(side, middle) {
  const radius = (latitude) => Math.tan(Math.PI / 4 - (Math.max(side * latitude, 0) * RADIANS) / 2) / 2;
  return {
    side,
    middle,
    radius,
    end: 90,
    isRound: false,
    top: 0,
    bottom: 1,
    longest: 1,
    x: (longitude, latitude) => 0.5 + radius(latitude) * Math.sin((longitude - middle) * RADIANS),
    y: (longitude, latitude) => 0.5 + side * radius(latitude) * Math.cos((longitude - middle) * RADIANS),
    metres: (x, y) => (EQUATOR / (2 * Math.PI)) * (4 / (1 + 4 * ((x - 0.5) ** 2 + (y - 0.5) ** 2))),
  };
}

// A line with its box, in units of the world. `cuts` marks the points whose incoming edge is not real, but where the
// world is cut: at 180° and at the poles.
function projectedLine(written, projection) {
  const { longest, end } = projection;
  const degrees = longest < Infinity ? stepped(written, longest) : written;
  const [points, cuts] = [new Float64Array(degrees.length), new Uint8Array(degrees.length / 2)];
  const line = { points, cuts, isCut: false, left: Infinity, right: -Infinity, top: Infinity, bottom: -Infinity };
  let isPole = false;
  for (let at = 0; at < degrees.length; at += 2) {
    const [east, north, wasPole] = [degrees[at], degrees[at + 1], isPole];
    isPole = Math.abs(north) >= end;
    if (isPole || wasPole || (east === degrees[at - 2] && Math.abs(east % 360) === 180)) {
      cuts[at / 2] = 1;
      line.isCut = true;
    }
    const x = (points[at] = projection.x(east, north));
    const y = (points[at + 1] = projection.y(east, north));
    if (x < line.left) line.left = x;
    if (x > line.right) line.right = x;
    if (y < line.top) line.top = y;
    if (y > line.bottom) line.bottom = y;
  }
  return line;
}

// The same line with additional points where it spans too many longitudes for a straight edge.
function stepped(degrees, longest) {
  const more = degrees.slice(0, 2);
  for (let at = 2; at < degrees.length; at += 2) {
    const [east, north] = [degrees[at] - degrees[at - 2], degrees[at + 1] - degrees[at - 1]];
    const steps = Math.max(1, Math.ceil(Math.abs(east) / longest));
    for (let left = steps - 1; left >= 0; left -= 1) {
      more.push(degrees[at] - (east * left) / steps, degrees[at + 1] - (north * left) / steps);
    }
  }
  return more;
}

function projectedShape(shape, projection) {
  if (!shape) return null;
  const project = (degrees) => projectedLine(degrees, projection);
  const polygons = (shape.polygons ?? []).map((rings) => rings.map(project));
  const lines = (shape.lines ?? []).map(project);
  const points = (shape.points ?? []).map(project);
  const boxes = [...polygons.map((rings) => rings[0]), ...lines, ...points];
  return { polygons, lines, points, boxes, marks: boxes.flatMap(marks) };
}

// A fingerprint that only lines of nearly the same course share: the ends of the box, and the mean of the points.
function marks({ points, left, right, top, bottom }) {
  let [x, y] = [0, 0];
  for (let at = 0; at < points.length; at += 2) [x, y] = [x + points[at], y + points[at + 1]];
  return [left, right, top, bottom, (2 * x) / points.length, (2 * y) / points.length];
}

function isInside(shape, x, y) {
  return shape.polygons.some((rings) =>
    [-2, -1, 0, 1, 2].some((turn) => {
      const box = rings[0];
      const inBox = x + turn >= box.left && x + turn <= box.right && y >= box.top && y <= box.bottom;
      return inBox && rings.reduce((inside, ring) => inside !== isInRing(ring.points, x + turn, y), false);
    }),
  );
}

function isInRing(points, x, y) {
  let inside = false;
  for (let at = 0, before = points.length - 2; at < points.length; before = at, at += 2) {
    const [x1, y1, x2, y2] = [points[at], points[at + 1], points[before], points[before + 1]];
    if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) inside = !inside;
  }
  return inside;
}

// The smallest range of longitudes that contains all boxes: the complement of their widest gap.
function extent(boxes) {
  if (!boxes.length) return null;
  const spans = boxes.map((box) => {
    const turns = Math.floor(box.left);
    return [box.left - turns, box.right - turns];
  });
  spans.sort((one, other) => one[0] - other[0]);
  let [reach, gap, gapEnd] = [spans[0][1], -Infinity, spans[0][0]];
  for (const [left, right] of spans) {
    if (left - reach > gap && left > reach) [gap, gapEnd] = [left - reach, left];
    reach = Math.max(reach, right);
  }
  const around = spans[0][0] + 1 - reach;
  if (around >= gap) [gap, gapEnd] = [around, spans[0][0]];
  const left = gapEnd;
  return {
    left,
    right: Math.min(largest(spans.map(([from, to]) => (from >= left ? to : to + 1))), left + 1),
    top: smallest(boxes.map((box) => box.top)),
    bottom: largest(boxes.map((box) => box.bottom)),
  };
}

// The view: the centre of the screen in the world, and pixels per unit.
function createView(projection) {
  const view = { x: 0.5, y: 0.5, scale: 1, width: 1, height: 1 };
  const CLOSEST = 3e6;
  const { top, bottom, isRound } = projection;

  const keepInside = () => {
    const least = Math.max(view.width, view.height);
    view.scale = Math.min(Math.max(view.scale, least), CLOSEST);
    const half = view.height / 2 / view.scale;
    view.y = bottom - top <= 2 * half ? (top + bottom) / 2 : Math.min(Math.max(view.y, top + half), bottom - half);
    if (isRound) view.x -= Math.floor(view.x);
    else view.x = Math.min(Math.max(view.x, view.width / 2 / view.scale), 1 - view.width / 2 / view.scale);
  };

  return Object.assign(view, {
    screenX: (x) => (x - view.x) * view.scale + view.width / 2,
    screenY: (y) => (y - view.y) * view.scale + view.height / 2,
    worldX: (pixels) => view.x + (pixels - view.width / 2) / view.scale,
    worldY: (pixels) => view.y + (pixels - view.height / 2) / view.scale,
    resize: (width, height) => {
      Object.assign(view, { width, height });
      keepInside();
    },
    move: (right, down) => {
      view.x -= right / view.scale;
      view.y -= down / view.scale;
      keepInside();
    },
    zoom: (factor, atX = view.width / 2, atY = view.height / 2) => {
      const [x, y] = [view.worldX(atX), view.worldY(atY)];
      view.scale *= factor;
      keepInside();
      view.x = x - (atX - view.width / 2) / view.scale;
      view.y = y - (atY - view.height / 2) / view.scale;
      keepInside();
    },
    fit: (box, room) => {
      const [width, height] = [view.width - room.left - room.right, view.height - room.top - room.bottom];
      const least = 0.15 / 360;
      view.scale = Math.min(
        width / Math.max(box.right - box.left, least),
        height / Math.max(box.bottom - box.top, least),
      );
      keepInside();
      view.x = (box.left + box.right) / 2 + (room.right - room.left) / 2 / view.scale;
      view.y = (box.top + box.bottom) / 2 + (room.bottom - room.top) / 2 / view.scale;
      keepInside();
    },
    // The whole turns by which a box must be shifted to be on the screen; none when it is not visible.
    turns: (box) => {
      if (box.bottom < view.worldY(0) || box.top > view.worldY(view.height)) return [];
      const [left, right] = [view.worldX(0), view.worldX(view.width)];
      if (!isRound) return box.left <= right && box.right >= left ? [0] : [];
      const found = [];
      for (let turn = Math.ceil(left - box.right); turn <= Math.floor(right - box.left); turn += 1) found.push(turn);
      return found;
    },
  });
}
