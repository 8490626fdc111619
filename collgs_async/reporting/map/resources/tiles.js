// A background map of tiles, which the reader asked for with --tiles: web Mercator, 256 pixels each.

const TILE_PIXELS = 256;
const MOST_TILES = 400; // that are kept
const FINEST_TILES = 19;
const COARSER = 5; // levels from which a tile that is missing is replaced

function createTiles(background, view, projection, redraw) {
  const images = new Map(); // by address, the one used last at the end
  const isUsable = Boolean(background) && areTilesFor(projection);

  const level = () => Math.min(Math.max(Math.round(Math.log2(view.scale / TILE_PIXELS)), 0), FINEST_TILES);

  // The tiles on the screen, those in the middle first.
  function onScreen() {
    const zoom = level();
    const count = 2 ** zoom;
    const [left, right] = [view.worldX(0), view.worldX(view.width)].map((x) => Math.floor(x * count));
    const [top, bottom] = [view.worldY(0), view.worldY(view.height)].map((y) => Math.floor(y * count));
    const found = [];
    for (let row = Math.max(top, 0); row <= Math.min(bottom, count - 1); row += 1) {
      for (let column = left; column <= right; column += 1) {
        const away = Math.hypot((column + 0.5) / count - view.x, (row + 0.5) / count - view.y);
        found.push({ zoom, column, row, away });
      }
    }
    return found.sort((one, other) => one.away - other.away);
  }

  function address({ zoom, column, row }) {
    const turned = ((column % 2 ** zoom) + 2 ** zoom) % 2 ** zoom;
    return background.template.replaceAll("{z}", zoom).replaceAll("{x}", turned).replaceAll("{y}", row);
  }

  // Called once the view is at rest: no tiles are asked for that were only passed by.
  function request() {
    if (!isUsable) return;
    const wanted = onScreen().map(address);
    for (const [known, image] of images) {
      if (image.complete || wanted.includes(known)) continue;
      image.removeAttribute("src"); // ends its request
      images.delete(known);
    }
    for (const one of wanted) {
      const image = images.get(one) ?? asked(one);
      images.delete(one);
      images.set(one, image);
    }
    for (const known of images.keys()) {
      if (images.size <= MOST_TILES) break;
      images.delete(known);
    }
  }

  function asked(one) {
    const image = new Image();
    image.addEventListener("load", redraw);
    image.src = one;
    return image;
  }

  // Draw what is there; return whether that is anything.
  function draw(context) {
    if (!isUsable) return false;
    let isAny = false;
    for (const tile of onScreen()) {
      for (let up = 0; up <= Math.min(COARSER, tile.zoom); up += 1) {
        const part = 2 ** up;
        const parent = { zoom: tile.zoom - up, column: Math.floor(tile.column / part), row: Math.floor(tile.row / part) };
        const image = images.get(address(parent));
        if (!image?.complete || !image.naturalWidth) continue;
        drawPart(context, image, tile, parent, part);
        isAny = true;
        break;
      }
    }
    return isAny;
  }

  function drawPart(context, image, { zoom, column, row }, parent, part) {
    const edge = (at, toScreen) => Math.round(toScreen(at / 2 ** zoom)); // whole pixels, so that no seam shows
    const [left, right] = [edge(column, view.screenX), edge(column + 1, view.screenX)];
    const [top, bottom] = [edge(row, view.screenY), edge(row + 1, view.screenY)];
    const [wide, high] = [image.naturalWidth / part, image.naturalHeight / part];
    const [x, y] = [(column - parent.column * part) * wide, (row - parent.row * part) * high];
    context.drawImage(image, x, y, wide, high, left, top, right - left, bottom - top);
  }

  return { request, draw };
}

// Around the poles the map has other projections.
const areTilesFor = (projection) => projection.end === MERCATOR_END;
