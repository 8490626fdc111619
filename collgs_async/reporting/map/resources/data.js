// The data embedded in the page: scenes, area, quicklooks, and the lines of the world.

function carried(name) {
  return JSON.parse(document.getElementById(`${name}-data`).textContent);
}

// Whether there is anything in it, without reading it.
function carriesAny(name) {
  return document.getElementById(`${name}-data`).textContent.length > 2;
}

// Some of it may be megabytes, and is parsed on first use.
function lazily(make) {
  let made;
  return () => (made ??= make());
}

// Decode the numbers of one arc; resources/NOTICE.md describes the encoding.
const DIGITS = new Uint8Array(128);
[..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"].forEach((letter, value) => {
  DIGITS[letter.charCodeAt(0)] = value;
});

function decodedArc(text, grid) {
  const degrees = [];
  let at = 0;
  const step = () => {
    let value = 0;
    for (let shift = 0, digit = 32; digit & 32; shift += 5) {
      digit = DIGITS[text.charCodeAt(at++)];
      value |= (digit & 31) << shift;
    }
    return value & 1 ? -(value >> 1) : value >> 1;
  };
  for (let east = 0, north = 0; at < text.length; ) {
    east += step();
    north += step();
    degrees.push(east / grid, north / grid);
  }
  return degrees;
}

function readWorld() {
  const { grid, arcs, borders, countries, cities, rivers, towns } = carried("world");
  const lines = arcs.map((text) => decodedArc(text, grid));
  const isBorder = new Set(borders);
  return {
    coasts: lines.filter((_, index) => !isBorder.has(index)),
    borders: borders.map((index) => lines[index]),
    countries: countries.map(([name, rings]) => ({ name, rings: rings.map((ring) => joined(ring, lines)) })),
    // The largest ones first.
    cities: [
      ...cities.map(([name, east, north]) => ({ name, east, north, rank: 0 })).reverse(),
      ...towns.map(([rank, name, east, north]) => ({ name, east, north, rank })),
    ],
    rivers: rivers.map(([rank, name, text]) => ({ name, rank, degrees: decodedArc(text, grid) })),
  };
}

// Join arcs to a ring. One that ends a whole turn from its start encloses a pole, and is closed over it.
function joined(ring, lines) {
  const degrees = [];
  for (const index of ring) {
    const line = lines[index < 0 ? ~index : index];
    const start = index < 0 ? line.length - 2 : 0;
    const turns = degrees.length ? 360 * Math.round((degrees.at(-2) - line[start]) / 360) : 0;
    for (let at = degrees.length ? 2 : 0; at < line.length; at += 2) {
      const from = index < 0 ? start - at : at;
      degrees.push(line[from] + turns, line[from + 1]);
    }
  }
  const pole = degrees[1] < 0 ? -90 : 90;
  if (Math.abs(degrees.at(-2) - degrees[0]) > 180) degrees.push(degrees.at(-2), pole, degrees[0], pole);
  return degrees;
}
