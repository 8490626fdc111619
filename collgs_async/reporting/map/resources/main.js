// Assemble the page.

const { title, query, notes, command, background, area, scenes } = carried("scenes");
const byId = (id) => document.getElementById(id);
const store = createStore(scenes);
const colours = createColours();
const pictures = createPictures();

byId("title").textContent = title;
byId("query").textContent = query.join("  ·  ");
byId("query").hidden = !query.length;
byId("notes").append(...notes.map((note) => element("li", { textContent: note })));
byId("notes").hidden = !notes.length;
showSummary();

const projection = createProjection(linesOf([area, ...scenes.map(({ shape }) => shape)]));
const layers = {
  footprints: scenes.some(({ shape }) => shape),
  pictures: !pictures.isEmpty,
  area: Object.keys(area).length > 0,
  tiles: Boolean(background) && areTilesFor(projection),
};
const legend = createLegend(store, colours, layers); // first, for it takes from the map's room
const map = createMap(store, colours, area, projection, pictures, background);
const timeline = createTimeline(store, colours, map);
const table = createTable(store, colours, map, pictures);
createPointing(map, store);
createCard(store, map, pictures);
createTray(store, command);
createFilters(store);
showShown();
byId("time").hidden = !store.limits;
store.subscribe((changed) => {
  if (changed.has("shown")) showShown();
});
byId("theme").addEventListener("click", () => {
  colours.toggle();
  repaint();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  colours.read();
  repaint();
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

function repaint() {
  legend.show();
  map.redraw();
  timeline.draw();
  table.arrange();
}
