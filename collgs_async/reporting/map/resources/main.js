// Assemble the page.

const { title, notes, area, scenes } = carried("scenes");
const byId = (id) => document.getElementById(id);
const store = createStore(scenes);
const colours = createColours();

byId("title").textContent = title;
byId("notes").append(...notes.map((note) => element("li", { textContent: note })));
byId("notes").hidden = !notes.length;
showSummary();
showLegend();

const map = createMap(store, colours, area, createProjection(linesOf([area, ...scenes.map(({ shape }) => shape)])));
const timeline = createTimeline(store, colours, map);
const table = createTable(store, colours, map);
createPointing(map, store);
createCard(store, map);
createTray(store);
connectFilters();
showShown();
byId("time").hidden = !store.limits;
store.subscribe((changed) => {
  if (changed.has("colour")) showLegend();
  if (changed.has("shown")) showShown();
});
performance.mark("ready");

function linesOf(shapes) {
  return shapes.filter(Boolean).flatMap(({ polygons = [], lines = [], points = [] }) => [...polygons.flat(), ...lines, ...points]);
}

function showSummary() {
  const total = totalText(scenes);
  const parts = [count(scenes.length, "scene")];
  if (store.limits) parts.push(rangeText(...store.limits));
  if (total) parts.push(total);
  byId("summary").textContent = parts.map((part) => part.replaceAll(" ", "\u00a0")).join("  ·  ");
}

function showShown() {
  const { length } = store.shown;
  byId("shown").textContent = length < scenes.length ? `${length.toLocaleString("en")} of ${scenes.length.toLocaleString("en")} shown` : "";
  byId("empty").hidden = length > 0;
  byId("empty-title").textContent = scenes.length ? "Nothing left" : "Nothing found";
  byId("empty-words").textContent = scenes.length ? "No scene passes the filters." : "No scene matches this search.";
  byId("empty-reset").hidden = !scenes.length;
}

function showLegend() {
  const isCloud = store.colour === "cloud";
  byId("by-date").ariaPressed = String(!isCloud);
  byId("by-cloud").ariaPressed = String(isCloud);
  const stops = Array.from({ length: 13 }, (_, step) => colours.ramp(store.colour, step / 12));
  byId("ramp").style.background = `linear-gradient(to right, ${stops.join(", ")})`;
  const [first, last] = isCloud ? ["0 %", "100 %"] : dateEnds();
  byId("ramp-first").textContent = first;
  byId("ramp-last").textContent = last === first ? "" : last;
  byId("key-area").hidden = !Object.keys(area).length;
  byId("key-unknown").hidden = scenes.every((scene) => store.share(scene) !== undefined);
  byId("unknown-name").textContent = isCloud ? "No cloud value" : "No date";
  byId("ramp").hidden = first === last;
  byId("ramp-ends").hidden = !isCloud && !store.limits;
  byId("legend").hidden = !scenes.length;
}

// The ends of the ramp of dates; within one day, its times; for a single moment, no range.
function dateEnds() {
  const days = store.limits?.map(dateText) ?? [UNKNOWN, UNKNOWN];
  return days[0] === days[1] && store.limits ? store.limits.map((end) => `${dateText(end)}, ${clockText(end)}`) : days;
}

function connectFilters() {
  const slider = byId("cloud");
  const hasClouds = scenes.some((scene) => scene.cloud !== undefined);
  byId("cloud-filter").hidden = byId("by-cloud").hidden = !hasClouds;
  const label = () => {
    byId("cloud-value").textContent = `${slider.value} %`;
    slider.style.setProperty("--share", `${slider.value}%`);
  };
  slider.addEventListener("input", () => {
    label();
    store.change({ cloud: Number(slider.value) });
  });
  byId("by-date").addEventListener("click", () => store.change({ colour: "date" }));
  byId("by-cloud").addEventListener("click", () => store.change({ colour: "cloud" }));
  byId("empty-reset").addEventListener("click", () => {
    slider.value = "100";
    label();
    store.change({ cloud: 100, from: -Infinity, to: Infinity });
  });
  byId("theme").addEventListener("click", () => {
    colours.toggle();
    repaint();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    colours.read();
    repaint();
  });
  slider.value = "100"; // browsers remember what a page was left with
  label();
}

function repaint() {
  showLegend();
  map.redraw();
  timeline.draw();
  table.arrange();
}
