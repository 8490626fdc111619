// Acquisitions over time: a block per scene, stacked by day, week or month, and a range of dates to filter.

const BIN_UNITS = [
  { name: "minute", seconds: 60 },
  { name: "hour", seconds: 3600 },
  { name: "day", seconds: DAY },
  { name: "week", seconds: 7 * DAY },
  { name: "month", months: 1 },
  { name: "quarter", months: 3 },
  { name: "year", months: 12 },
];
const TICK_UNITS = [
  { seconds: 60 }, { seconds: 600 }, { seconds: 3600 }, { seconds: 6 * 3600 },
  { seconds: DAY }, { seconds: 7 * DAY }, { months: 1 }, { months: 3 }, { months: 12 }, { months: 60 },
];
const MARGIN = 14;
const AXIS = 20;
const MONDAY = 4 * DAY; // 1970 began on a Thursday

// The start of the unit that contains a moment, and that of the unit `steps` later.
function unitStart(unit, seconds, steps = 0) {
  if (unit.seconds) {
    const shift = unit.seconds === 7 * DAY ? MONDAY : 0;
    return (Math.floor((seconds - shift) / unit.seconds) + steps) * unit.seconds + shift;
  }
  const date = new Date(seconds * 1000);
  const months = date.getUTCFullYear() * 12 + date.getUTCMonth();
  const at = (Math.floor(months / unit.months) + steps) * unit.months;
  return Date.UTC(Math.floor(at / 12), at % 12) / 1000;
}

function unitWidth(unit) {
  return unit.seconds ?? unit.months * 30.4 * DAY;
}

function createTimeline(store, colours, map) {
  const plot = document.getElementById("plot");
  const canvas = createCanvas(document.getElementById("bars"));
  const handles = { from: document.getElementById("handle-from"), to: document.getElementById("handle-to") };
  const { scenes, limits } = store;
  let unit = BIN_UNITS[2];
  let domain = [0, 1];
  let bins = []; // of the scenes that are shown: { start, places }
  let all = []; // of all scenes
  let tallest = 1;

  const innerWidth = () => Math.max(canvas.width - 2 * MARGIN, 1);
  const toPixels = (seconds) => MARGIN + ((seconds - domain[0]) / (domain[1] - domain[0])) * innerWidth();
  const toSeconds = (pixels) => domain[0] + ((pixels - MARGIN) / innerWidth()) * (domain[1] - domain[0]);
  const range = () => [Math.max(store.from, domain[0]), Math.min(store.to, domain[1])];
  const height = () => canvas.height - AXIS;
  const blockHeight = () => Math.min(22, (height() - 6) / tallest);

  // The finest unit whose bins are wide enough to be visible.
  function arrange() {
    if (!limits) return;
    const span = Math.max(limits[1] - limits[0], 1);
    unit = BIN_UNITS.find((candidate) => (innerWidth() / (span + unitWidth(candidate))) * unitWidth(candidate) >= 8);
    unit ??= BIN_UNITS.at(-1);
    document.getElementById("time-title").textContent = `Acquisitions by ${unit.name}`;
    domain = [unitStart(unit, limits[0]), unitStart(unit, limits[1], 1)];
    all = binsOf([...scenes.keys()]);
    tallest = largest(all.map(({ places }) => places.length));
    fill();
  }

  const binOf = (place) => unitStart(unit, scenes[place].start);

  function fill() {
    const share = (place) => store.share(scenes[place]) ?? 2;
    bins = binsOf(store.shown);
    for (const { places } of bins) {
      places.sort((one, other) => share(one) - share(other) || scenes[one].start - scenes[other].start);
    }
  }

  function binsOf(places) {
    const dated = places.filter((place) => scenes[place].start !== undefined);
    return [...groupBy(dated, binOf)].map(([start, found]) => ({ start, places: found }));
  }

  function draw() {
    const { context } = canvas;
    const { theme } = colours;
    canvas.clear();
    drawAxis(context, theme);
    document.getElementById("time-reset").hidden = store.from === -Infinity && store.to === Infinity;
    if (!limits) return;
    if (store.shown.length < scenes.length) drawLeftOut(context, theme);
    for (const bin of bins) drawBin(context, bin, theme);
    placeHandles();
  }

  function box(bin) {
    const left = toPixels(bin.start);
    const full = toPixels(unitStart(unit, bin.start, 1)) - left;
    const width = Math.min(full - (full > 5 ? 1.5 : 0), 26);
    return { left: left + (full - width) / 2, width };
  }

  function drawBin(context, bin, theme) {
    const { left, width } = box(bin);
    const step = blockHeight();
    const gap = step > 3.5 ? 1 : 0;
    const marked = new Set(store.hovered);
    if (store.current !== null) marked.add(store.current);
    const top = (level) => height() - (level + 1) * step;
    // From the top down, each block down to the baseline, so that blocks thinner than a pixel leave no gaps.
    for (let level = bin.places.length - 1; level >= 0; level -= 1) {
      context.fillStyle = colours.ramp(store.colour, store.share(scenes[bin.places[level]]));
      context.fillRect(left, top(level), width, gap ? step - gap : height() - top(level));
    }
    bin.places.forEach((place, level) => {
      context.fillStyle = theme.accent;
      if (marked.has(place)) context.fillRect(left, top(level), width, Math.max(step, 3) - gap);
      context.fillStyle = theme.paper;
      if (store.picked.has(place) && step > 6) context.fillRect(left + width / 2 - 1.5, top(level) + (step - gap) / 2 - 1.5, 3, 3);
    });
  }

  function drawAxis(context, theme) {
    const base = Math.round(height()) + 0.5;
    context.fillStyle = theme.faint;
    context.fillRect(0, base, canvas.width, 1);
    if (!limits) return;
    prepare(context, "degrees");
    const perSecond = innerWidth() / (domain[1] - domain[0]);
    const tick = TICK_UNITS.find((candidate) => unitWidth(candidate) * perSecond >= 52) ?? TICK_UNITS.at(-1);
    let free = 0;
    for (let at = unitStart(tick, domain[0]); at <= domain[1]; at = unitStart(tick, at, 1)) {
      if (at < domain[0]) continue;
      const [text, x] = [tickText(tick, at, free === 0), Math.round(toPixels(at)) + 0.5];
      const half = context.measureText(text).width / 2;
      const middle = Math.min(Math.max(x, half + 2), canvas.width - half - 2);
      context.fillStyle = theme.faint;
      context.fillRect(x - 0.5, base, 1, 4);
      if (middle - half < free) continue;
      context.fillStyle = theme.quiet;
      context.fillText(text, middle, base + 12);
      free = middle + half + 8;
    }
  }

  function tickText(tick, at, isFirst) {
    const date = new Date(at * 1000);
    if (tick.months >= 12) return String(date.getUTCFullYear());
    if (tick.months) {
      const month = MONTHS[date.getUTCMonth()];
      return isFirst || date.getUTCMonth() === 0 ? `${month} ${date.getUTCFullYear()}` : month;
    }
    const day = `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]}`;
    if (tick.seconds >= DAY) return isFirst ? `${day} ${date.getUTCFullYear()}` : day;
    return isFirst || at % DAY === 0 ? day : clockText(at);
  }

  // Scenes excluded by the filters remain visible in grey.
  function drawLeftOut(context, theme) {
    context.fillStyle = theme.faint;
    for (const bin of all) {
      const { left, width } = box(bin);
      const tall = bin.places.length * blockHeight();
      context.fillRect(left, height() - tall, width, tall);
    }
  }

  function placeHandles() {
    const [from, to] = range();
    for (const [name, seconds] of [["from", from], ["to", to]]) {
      const handle = handles[name];
      handle.style.transform = `translateX(${toPixels(seconds).toFixed(1)}px)`;
      handle.ariaValueMin = String(Math.round(domain[0]));
      handle.ariaValueMax = String(Math.round(domain[1]));
      handle.ariaValueNow = String(Math.round(seconds));
      handle.ariaValueText = dateText(name === "to" ? seconds - 1 : seconds);
    }
    document.getElementById("time-range").textContent = rangeText(Math.max(from, limits[0]), Math.min(to - 1, limits[1]));
  }

  // Filter by two moments, rounded to whole bins; the full range means no filter.
  function keep(first, last) {
    const from = Math.max(unitStart(unit, Math.min(first, last)), domain[0]);
    const to = Math.min(unitStart(unit, Math.max(first, last) - 1e-3, 1), domain[1]);
    if (from >= to) return;
    store.change({ from: from <= domain[0] ? -Infinity : from, to: to >= domain[1] ? Infinity : to });
  }

  // The scene at a point, and all scenes of its bin.
  function under({ x, y }) {
    const bin = bins.find((candidate) => unitStart(unit, toSeconds(x)) === candidate.start);
    if (!bin) return { bin: null, place: null };
    const level = Math.floor((height() - y) / blockHeight());
    return { bin, place: bin.places[level] ?? null };
  }

  connect();
  store.subscribe((changed) => {
    if (changed.has("shown") || changed.has("colour")) fill();
    draw();
  });
  new ResizeObserver(() => {
    if (!canvas.fit()) return;
    arrange();
    draw();
  }).observe(plot);
  canvas.fit();
  arrange();
  draw();
  plot.classList.toggle("without", !limits);
  return { draw };

  function connect() {
    let fixed = null; // the end of the range that stays: where a drag began, or on a handle, the other end
    let pressed = 0;
    let isDrag = false;
    const at = (event) => {
      const frame = plot.getBoundingClientRect();
      return { x: event.clientX - frame.left, y: event.clientY - frame.top };
    };
    const begin = (event, other) => {
      if (!limits || event.button) return;
      pressed = at(event).x;
      fixed = other ?? toSeconds(pressed);
      isDrag = false;
      plot.setPointerCapture(event.pointerId);
    };
    canvas.element.addEventListener("pointerdown", (event) => begin(event));
    handles.from.addEventListener("pointerdown", (event) => begin(event, range()[1]));
    handles.to.addEventListener("pointerdown", (event) => begin(event, range()[0]));

    plot.addEventListener("pointermove", (event) => {
      const { x } = at(event);
      if (fixed === null) return hover(event);
      isDrag ||= Math.abs(pressed - x) > DRAG_PIXELS;
      if (isDrag) keep(fixed, toSeconds(x));
    });
    plot.addEventListener("pointerup", (event) => {
      if (fixed !== null && !isDrag) click(at(event));
      fixed = null;
    });
    plot.addEventListener("pointercancel", () => (fixed = null));
    plot.addEventListener("pointerleave", () => store.hovered.length && store.change({ hovered: [] }));

    for (const [name, handle] of Object.entries(handles)) {
      handle.addEventListener("keydown", (event) => {
        const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -6, PageUp: 6 }[event.key];
        const end = { Home: domain[0], End: domain[1] }[event.key];
        if (steps === undefined && end === undefined) return;
        event.preventDefault();
        move(name, end ?? unitStart(unit, range()[name === "from" ? 0 : 1], steps));
      });
    }
    document.getElementById("time-reset").addEventListener("click", () => {
      store.change({ from: -Infinity, to: Infinity });
    });

    function hover(event) {
      if (event.pointerType !== "mouse") return;
      const { bin, place } = under(at(event));
      const hovered = place === null ? (bin?.places ?? []) : [place];
      const isSame = hovered.length === store.hovered.length && hovered.every((one, index) => one === store.hovered[index]);
      if (!isSame) store.change({ hovered });
    }

    function click(point) {
      const { bin, place } = under(point);
      if (!bin) return store.change({ current: null, here: [] });
      const next = place ?? bin.places[(bin.places.indexOf(store.current) + 1) % bin.places.length];
      store.change({ current: next, here: bin.places });
      map.show(next);
    }
  }

  // A handle stops one bin before the other one.
  function move(name, seconds) {
    const [from, to] = range();
    if (name === "from") keep(Math.min(Math.max(seconds, domain[0]), unitStart(unit, to, -1)), to);
    else keep(from, Math.max(Math.min(seconds, domain[1]), unitStart(unit, from, 1)));
  }
}

function groupBy(values, keyOf) {
  const groups = new Map();
  for (const value of values) {
    const key = keyOf(value);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(value);
  }
  return groups;
}
