// The bar above the map: what the colours mean, and which layers are shown.

const LAYERS = ["footprints", "pictures", "area", "tiles"];

function createLegend(store, colours, has) {
  const byId = (id) => document.getElementById(id);
  const { scenes } = store;

  function show() {
    const isCloud = store.colour === "cloud";
    byId("by-date").ariaPressed = String(!isCloud);
    byId("by-cloud").ariaPressed = String(isCloud);
    const stops = Array.from({ length: 13 }, (_, step) => colours.ramp(store.colour, step / 12));
    byId("ramp").style.background = `linear-gradient(to right, ${stops.join(", ")})`;
    const [first, last] = isCloud ? ["0 %", "100 %"] : dateEnds();
    byId("ramp-first").textContent = first;
    byId("ramp-last").textContent = last === first ? "" : last;
    byId("key-unknown").hidden = scenes.every((scene) => store.share(scene) !== undefined);
    byId("unknown-name").textContent = isCloud ? "No cloud value" : "No date";
    byId("ramp").hidden = first === last;
    byId("ramp-ends").hidden = !isCloud && !store.limits;
  }

  // The ends of the ramp of dates; within one day, its times; for a single moment, no range.
  function dateEnds() {
    const days = store.limits?.map(dateText) ?? [UNKNOWN, UNKNOWN];
    return days[0] === days[1] && store.limits ? store.limits.map((end) => `${dateText(end)}, ${clockText(end)}`) : days;
  }

  for (const name of LAYERS) {
    const box = byId(`show-${name}`);
    box.checked = true; // browsers remember what a page was left with
    box.closest("label").hidden = !has[name];
    box.addEventListener("change", () => store.change({ layers: { ...store.layers, [name]: box.checked } }));
  }
  byId("by-cloud").hidden = scenes.every((scene) => scene.cloud === undefined);
  byId("by-date").addEventListener("click", () => store.change({ colour: "date" }));
  byId("by-cloud").addEventListener("click", () => store.change({ colour: "cloud" }));
  byId("colours").hidden = !scenes.length;
  byId("legend").hidden = LAYERS.every((name) => !has[name]);
  store.subscribe((changed) => {
    if (changed.has("colour")) show();
  });
  show();
  return { show };
}
