// What the reader can ask for: cloud, tile, orbit and platform. A choice of one value is left out.

const CHOICES = [
  { name: "tile", any: "All tiles" },
  { name: "orbit", any: "All orbits" },
  { name: "unit", any: "All platforms" },
];

function createFilters(store) {
  const { scenes } = store;
  const byId = (id) => document.getElementById(id);
  const slider = byId("cloud");
  const selects = new Map();

  function label() {
    byId("cloud-value").textContent = `${slider.value} %`;
    slider.style.setProperty("--share", `${slider.value}%`);
  }

  function connectChoice({ name, any }) {
    const select = byId(`only-${name}`);
    const values = distinct(scenes.map((scene) => scene[name]).filter((value) => value !== undefined));
    const offered = name === "orbit" ? withDirections(values) : values;
    select.hidden = offered.length < 2;
    select.replaceChildren(
      element("option", { value: "", textContent: any }),
      ...offered.map((value) => element("option", { value, textContent: optionText(value) })),
    );
    select.addEventListener("change", () => {
      const only = { ...store.only, [name]: select.value };
      if (!select.value) delete only[name];
      store.change({ only });
    });
    selects.set(name, select);
  }

  function clear() {
    slider.value = "100"; // browsers remember what a page was left with
    for (const select of selects.values()) select.value = "";
    label();
  }

  byId("cloud-filter").hidden = scenes.every((scene) => scene.cloud === undefined);
  slider.addEventListener("input", () => {
    label();
    store.change({ cloud: Number(slider.value) });
  });
  byId("empty-reset").addEventListener("click", () => {
    clear();
    store.change({ cloud: 100, only: {}, from: -Infinity, to: Infinity });
  });
  for (const choice of CHOICES) connectChoice(choice);
  byId("choices").hidden = [...selects.values()].every((select) => select.hidden);
  clear();
}

const distinct = (texts) => [...new Set(texts)].sort((one, other) => one.localeCompare(other, "en", { numeric: true }));

// Each direction before its orbits; one that has a single orbit would say the same twice.
function withDirections(orbits) {
  const groups = groupBy(orbits, (orbit) => orbit.split(" ")[0]);
  return [...groups].flatMap(([direction, found]) => (found.length > 1 ? distinct([direction, ...found]) : found));
}

const DIRECTIONS = { ASC: "Ascending", DESC: "Descending" };

function optionText(value) {
  const [direction, ...rest] = nameText(value).split(" ");
  return [DIRECTIONS[direction] ?? direction, ...rest].join(" ");
}
