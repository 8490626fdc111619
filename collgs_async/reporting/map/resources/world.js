// The background: sea, land, borders, and a graticule with its degrees.

const GRATICULE_STEPS = [45, 30, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01];

function createWorld(projection) {
  const world = readWorld();
  const isThere = (degrees) => !projection.side || degrees.some((value, at) => at % 2 && projection.side * value > 0);
  const project = (lines) => lines.filter(isThere).map((degrees) => projectedLine(degrees, projection));
  const coasts = project(world.coasts);
  const borders = project(world.borders);
  const countries = world.countries.map(({ name, rings }) => ({ name, rings: project(rings) }));
  const rivers = world.rivers
    .filter(({ degrees }) => isThere(degrees))
    .map(({ name, rank, degrees }) => ({ name, rank, line: projectedLine(degrees, projection) }));
  const cities = world.cities.map(({ name, rank, east, north }) => ({
    name,
    rank,
    x: projection.x(east, north),
    y: projection.y(east, north),
  }));

  function drawLand(context, view, theme) {
    context.fillStyle = theme.sea;
    context.fillRect(0, 0, view.width, view.height);
    context.lineJoin = "round";

    context.beginPath();
    for (const { rings } of countries) {
      for (const ring of rings) for (const turn of view.turns(ring)) trace(context, view, ring, turn, true);
    }
    context.fillStyle = theme.land;
    context.fill();
  }

  function drawLines(context, view, theme) {
    drawRivers(context, view, theme, rivers);
    stroke(context, view, borders, theme.border, 0.9);
    stroke(context, view, coasts, theme.coast, 0.9);
  }

  function stroke(context, view, lines, colour, width) {
    context.beginPath();
    for (const line of lines) {
      for (const turn of view.turns(line)) {
        if (line.isCut) traceEdges(context, view, line, turn);
        else trace(context, view, line, turn, false);
      }
    }
    Object.assign(context, { strokeStyle: colour, lineWidth: width });
    context.stroke();
  }

  return { drawLand, drawLines, countries, cities, rivers };
}

// The meridians and parallels on the screen, about `apart` pixels from each other: paths, and positions of labels.
function graticule(view, projection, apart = 110) {
  return projection.isRound ? straightGraticule(view, projection, apart) : polarGraticule(view, projection, apart);
}

function straightGraticule(view, projection, apart) {
  const step = stepFor((apart / view.scale) * 360);
  const [west, east] = [projection.longitude(view.worldX(0)), projection.longitude(view.worldX(view.width))];
  const top = Math.min(projection.latitude(view.worldY(0)), 90);
  const bottom = Math.max(projection.latitude(view.worldY(view.height)), -90);
  const grid = { path: new Path2D(), meridians: [], parallels: [] };
  for (let at = Math.ceil(west / step); at * step <= east; at += 1) {
    const x = view.screenX(projection.x(at * step));
    grid.path.moveTo(Math.round(x) + 0.5, 0);
    grid.path.lineTo(Math.round(x) + 0.5, view.height);
    grid.meridians.push({ x, y: view.height - 12, text: meridianText(at * step, step) });
  }
  for (let at = Math.ceil(bottom / step); at * step <= top; at += 1) {
    const y = view.screenY(projection.y(0, at * step));
    grid.path.moveTo(0, Math.round(y) + 0.5);
    grid.path.lineTo(view.width, Math.round(y) + 0.5);
    grid.parallels.push({ x: view.width - 10, y, text: degreesText(at * step, step, "N", "S") });
  }
  return grid;
}

// Circles around the pole, labelled at their rightmost point, and rays from it, labelled above and below.
function polarGraticule(view, { side, middle, radius }, apart) {
  const grid = { path: new Path2D(), meridians: [], parallels: [] };
  const [x, y] = [view.screenX(0.5), view.screenY(0.5)];
  const farthest = Math.hypot(Math.max(x, view.width - x), Math.max(y, view.height - y));
  const step = Math.min(stepFor((apart / view.scale / 0.25) * (1 / RADIANS)), 10);
  for (let away = step; away < 90; away += step) {
    const far = radius(side * (90 - away)) * view.scale;
    if (far > farthest) break;
    grid.path.moveTo(x + far, y);
    grid.path.arc(x, y, far, 0, 7);
    const text = degreesText(side * (90 - away), step, "N", "S");
    const edge = Math.min(x + far, view.width - 10);
    const height = Math.sqrt(far ** 2 - (edge - x) ** 2);
    for (const at of height ? [y - height, y + height] : [y]) grid.parallels.push({ x: edge, y: at, text });
  }
  const turn = Math.min(Math.max(stepFor((apart / farthest) * (1 / RADIANS)), 5), 30);
  for (let longitude = -180; longitude < 180; longitude += turn) {
    const angle = (longitude - middle) * RADIANS;
    const [right, down] = [Math.sin(angle), side * Math.cos(angle)];
    const near = longitude % 90 ? radius(side * (90 - step)) * view.scale : 0;
    grid.path.moveTo(x + right * near, y + down * near);
    grid.path.lineTo(x + right * farthest, y + down * farthest);
    const edge = down > 0 ? view.height - 12 : 12;
    const reached = x + (right / down) * (edge - y);
    if (Math.abs(down) > 0.1) grid.meridians.push({ x: reached, y: edge, text: meridianText(longitude, turn) });
  }
  return grid;
}

function stepFor(degrees) {
  return GRATICULE_STEPS.findLast((candidate) => candidate >= degrees * 0.75) ?? GRATICULE_STEPS[0];
}

function meridianText(longitude, step) {
  return degreesText(((((longitude + 180) % 360) + 360) % 360) - 180, step, "E", "W");
}

function degreesText(degrees, step, positive, negative) {
  const digits = step >= 1 ? 0 : step >= 0.1 ? 1 : 2;
  const amount = Math.abs(degrees).toFixed(digits);
  if (Number(amount) === 0 || Number(amount) === 180) return `${amount}°`;
  return `${amount}°${degrees > 0 ? positive : negative}`;
}

function drawGraticule(context, grid, theme) {
  Object.assign(context, { strokeStyle: theme.grid, lineWidth: 1 });
  context.stroke(grid.path);
}
