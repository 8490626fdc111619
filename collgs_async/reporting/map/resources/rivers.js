// Rivers: the greater ones from afar, the others closer by, each with its name once where there is room.

// Whether something of a rank from 0, the most important, to 10 is shown at this scale: one more each time it doubles.
const isShown = (rank, view) => view.scale > 256 * 2 ** (rank - 2.3);

function drawRivers(context, view, theme, rivers) {
  context.beginPath();
  for (const { rank, line } of rivers) {
    if (!isShown(rank, view)) continue;
    for (const turn of view.turns(line)) trace(context, view, line, turn, false);
  }
  Object.assign(context, { strokeStyle: theme.river, lineWidth: 1.1, lineJoin: "round" });
  context.stroke();
}

// Each name stands in the middle of what is seen of its river.
function drawRiverNames(context, view, theme, room, rivers) {
  prepare(context, "river");
  const named = new Set();
  for (const { name, rank, line } of rivers) {
    if (!name || named.has(name) || !isShown(rank, view)) continue;
    const places = view.turns(line).flatMap((turn) => placesOnScreen(view, line, turn));
    const middle = places[places.length >> 1];
    if (places.length > 2 && write(context, theme.water, theme, room, name, ...middle)) named.add(name);
  }
}

function placesOnScreen(view, { points }, turn) {
  const found = [];
  for (let at = 0; at < points.length; at += 2) {
    const [x, y] = [view.screenX(points[at] + turn), view.screenY(points[at + 1])];
    if (x > 30 && x < view.width - 30 && y > 12 && y < view.height - 12) found.push([x, y]);
  }
  return found;
}
