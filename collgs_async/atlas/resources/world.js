// The ground: sea, land, borders, and a graticule with its degrees.

const GRATICULE_STEPS = [45, 30, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01];

function createWorld(projection) {
  const world = readWorld();
  const project = (degrees) => projectedLine(degrees, projection);
  const coasts = world.coasts.map(project);
  const borders = world.borders.map(project);
  const countries = world.countries.map(({ name, rings }) => ({ name, rings: rings.map(project) }));
  const cities = world.cities.map(({ name, east, north }) => ({ name, x: projection.x(east), y: projection.y(north) }));

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
    stroke(context, view, borders, theme.border, 0.9);
    stroke(context, view, coasts, theme.coast, 0.9);
  }

  function stroke(context, view, lines, colour, width) {
    context.beginPath();
    for (const line of lines) {
      for (const turn of view.turns(line)) {
        if (meetsCut(line)) traceEdges(context, view, line, turn);
        else trace(context, view, line, turn, false);
      }
    }
    Object.assign(context, { strokeStyle: colour, lineWidth: width });
    context.stroke();
  }

  return { drawLand, drawLines, countries, cities };
}

// Russia, Fiji and Antarctica are cut at 180°, and the cut is no coast.
function meetsCut(line) {
  return Math.floor(line.right + 1e-9) >= Math.ceil(line.left - 1e-9);
}

// The meridians and parallels on the screen, about `apart` pixels from one another.
function graticule(view, projection, apart = 110) {
  const degrees = (apart / view.scale) * 360;
  const step = GRATICULE_STEPS.findLast((candidate) => candidate >= degrees * 0.75) ?? GRATICULE_STEPS[0];
  const [west, east] = [projection.longitude(view.worldX(0)), projection.longitude(view.worldX(view.width))];
  const top = Math.min(projection.latitude(view.worldY(0)), 90);
  const bottom = Math.max(projection.latitude(view.worldY(view.height)), -90);
  const lines = { meridians: [], parallels: [] };
  for (let at = Math.ceil(west / step); at * step <= east; at += 1) {
    const turned = ((((at * step + 180) % 360) + 360) % 360) - 180;
    lines.meridians.push({ at: view.screenX(projection.x(at * step)), text: degreesText(turned, step, "E", "W") });
  }
  for (let at = Math.ceil(bottom / step); at * step <= top; at += 1) {
    lines.parallels.push({ at: view.screenY(projection.y(at * step)), text: degreesText(at * step, step, "N", "S") });
  }
  return lines;
}

function degreesText(degrees, step, positive, negative) {
  const digits = step >= 1 ? 0 : step >= 0.1 ? 1 : 2;
  const amount = Math.abs(degrees).toFixed(digits);
  if (Number(amount) === 0 || Number(amount) === 180) return `${amount}°`;
  return `${amount}°${degrees > 0 ? positive : negative}`;
}

function drawGraticule(context, view, lines, theme) {
  context.beginPath();
  for (const { at } of lines.meridians) {
    context.moveTo(Math.round(at) + 0.5, 0);
    context.lineTo(Math.round(at) + 0.5, view.height);
  }
  for (const { at } of lines.parallels) {
    context.moveTo(0, Math.round(at) + 0.5);
    context.lineTo(view.width, Math.round(at) + 0.5);
  }
  Object.assign(context, { strokeStyle: theme.grid, lineWidth: 1 });
  context.stroke();
}
