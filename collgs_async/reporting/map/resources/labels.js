// Labels on the map without overlaps: degrees at its edges, countries and cities where there is room.

const SANS = 'Inter, "Helvetica Neue", Roboto, "Noto Sans", "Liberation Sans", Arial, sans-serif';

function createLabels(world) {
  let anchors = new Map(); // where each country's name stands in the world, kept while the map moves

  // Recompute the positions of country names: the widest place of each country on the screen.
  function settle(context, view) {
    anchors = new Map();
    prepare(context, "country");
    for (const country of world.countries) {
      const text = country.name.toUpperCase();
      const place = widest(country, view, context.measureText(text).width);
      if (place) anchors.set(country, place);
    }
  }

  function draw(context, view, theme, taken, grid, { areDegreesOnly }) {
    const room = createRoom(view, taken);
    drawDegrees(context, view, theme, room, grid);
    if (areDegreesOnly) return; // tiles have their own names
    drawCountries(context, view, theme, room);
    if (view.scale > 4000) drawCities(context, view, theme, room);
    drawRiverNames(context, view, theme, room, world.rivers);
  }

  function drawDegrees(context, view, theme, room, grid) {
    prepare(context, "degrees");
    for (const { x, y, text } of grid.meridians) write(context, theme.quiet, theme, room, text, x, y);
    context.textAlign = "right";
    for (const { x, y, text } of grid.parallels) {
      write(context, theme.quiet, theme, room, text, x, y, -context.measureText(text).width / 2);
    }
  }

  function drawCountries(context, view, theme, room) {
    prepare(context, "country");
    const names = [...anchors].sort(([, one], [, other]) => other.span - one.span);
    for (const [country, { x, y }] of names) {
      for (const turn of view.turns({ left: x, right: x, top: y, bottom: y })) {
        write(context, theme.quiet, theme, room, country.name.toUpperCase(), view.screenX(x + turn), view.screenY(y));
      }
    }
  }

  function drawCities(context, view, theme, room) {
    prepare(context, "city");
    for (const { name, rank, x, y } of world.cities) {
      if (!isShown(rank, view)) continue;
      for (const turn of view.turns({ left: x, right: x, top: y, bottom: y })) {
        const [left, top] = [view.screenX(x + turn), view.screenY(y)];
        const width = context.measureText(name).width;
        if (!write(context, theme.ink, theme, room, name, left + 7, top, width / 2)) continue;
        context.beginPath();
        context.arc(left, top, 2.2, 0, 7);
        Object.assign(context, { fillStyle: theme.ink, strokeStyle: theme.halo, lineWidth: 1.5 });
        context.stroke();
        context.fill();
      }
    }
  }

  return { settle, draw };
}

const FONTS = {
  country: { font: `500 10.5px ${SANS}`, letterSpacing: "1.6px", textAlign: "center" },
  city: { font: `500 11px ${SANS}`, letterSpacing: "0px", textAlign: "left" },
  river: { font: `italic 400 10.5px ${SANS}`, letterSpacing: "0.3px", textAlign: "center" },
  degrees: { font: `400 10px ${SANS}`, letterSpacing: "0.2px", textAlign: "center" },
};

function prepare(context, kind) {
  Object.assign(context, FONTS[kind], { textBaseline: "middle", lineJoin: "round" });
}

// Draw a label if there is room; `middle` is the distance of its centre to the right of x.
function write(context, colour, theme, room, text, x, y, middle = 0) {
  const half = context.measureText(text).width / 2 + 3;
  if (!room.take({ left: x + middle - half, right: x + middle + half, top: y - 8, bottom: y + 8 })) return false;
  Object.assign(context, { strokeStyle: theme.halo, lineWidth: 3, fillStyle: colour });
  context.strokeText(text, x, y);
  context.fillText(text, x, y);
  return true;
}

// Keeps track of free rectangles on the screen.
function createRoom(view, taken) {
  const boxes = [...taken];
  const meets = (one, other) =>
    one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
  return {
    take: (box) => {
      const isOutside = box.left < 2 || box.right > view.width - 2 || box.top < 2 || box.bottom > view.height - 2;
      if (isOutside || boxes.some((other) => meets(box, other))) return false;
      boxes.push(box);
      return true;
    },
  };
}

// The widest horizontal stretch of a country on the screen that can hold a label, near its visible centre.
function widest(country, view, wanted) {
  const rings = country.rings.flatMap((ring) => view.turns(ring).map((turn) => ({ ring, turn })));
  if (!rings.length) return null;
  const inset = 24;
  const top = Math.max(inset, view.screenY(smallest(rings.map(({ ring }) => ring.top))));
  const bottom = Math.min(view.height - inset, view.screenY(largest(rings.map(({ ring }) => ring.bottom))));
  const [left, right] = [view.worldX(inset), view.worldX(view.width - inset)];
  let best = null;
  for (let at = 1; at < 16; at += 1) {
    const y = view.worldY(top + ((bottom - top) * at) / 16);
    for (const [from, to] of stretches(rings, y)) {
      const [begin, end] = [Math.max(from, left), Math.min(to, right)];
      const span = (end - begin) * view.scale;
      const score = Math.min(span, wanted * 3) * (1 - Math.abs(at - 8) / 14);
      if (span > wanted + 12 && score > (best?.score ?? 0)) best = { x: (begin + end) / 2, y, span, score };
    }
  }
  return best;
}

function stretches(rings, y) {
  const crossings = [];
  for (const { ring, turn } of rings) {
    const { points } = ring;
    if (y < ring.top || y > ring.bottom) continue;
    for (let at = 2; at < points.length; at += 2) {
      const [y1, y2] = [points[at - 1], points[at + 1]];
      if (y1 > y === y2 > y) continue;
      crossings.push(points[at - 2] + ((points[at] - points[at - 2]) * (y - y1)) / (y2 - y1) + turn);
    }
  }
  crossings.sort((one, other) => one - other);
  return Array.from({ length: crossings.length >> 1 }, (_, pair) => [crossings[2 * pair], crossings[2 * pair + 1]]);
}
