// The list of scenes: two lines each; only visible rows are part of the page.

const ROW_HEIGHT = 52;
const OVERSCAN = 6;
const TAIL = 23; // the end of a name says tile and processing time; it is the beginning that is cut

const COLUMNS = [
  { name: "id", title: "Identifier", isUsed: () => true },
  { name: "start", title: "Sensed (UTC)", isUsed: () => true, text: (scene) => (scene.start === undefined ? UNKNOWN : isoText(scene.start)) },
  { name: "cloud", title: "Cloud", share: 0.9, text: (scene) => optional(scene.cloud, percentText) },
  { name: "orbit", title: "Orbit", share: 1.3, text: (scene) => optional(scene.orbit, nameText) },
  { name: "overlap", title: "Overlap", share: 1, text: (scene) => optional(scene.overlap, percentText) },
  { name: "size", title: "Size", share: 1, text: (scene) => optional(scene.size, bytesText) },
];

const optional = (value, text) => (value === undefined ? UNKNOWN : text(value));

function createTable(store, colours, map, pictures) {
  const grid = document.getElementById("grid");
  const head = document.getElementById("columns");
  const scroller = document.getElementById("scroller");
  const rows = document.getElementById("rows");
  const { scenes } = store;
  // Hide a column without any known value.
  const columns = COLUMNS.filter(({ name, isUsed }) => isUsed?.() ?? scenes.some((scene) => scene[name] !== undefined));
  const made = new Map(); // the rows that are in the page, by place
  let position = new Map(); // where each scene stands in the list

  grid.style.setProperty("--cells", columns.slice(2).map(({ share }) => `minmax(0, ${share}fr)`).join(" ") || "1fr");
  grid.classList.toggle("pictured", !pictures.isEmpty);
  grid.ariaColCount = String(columns.length + (pictures.isEmpty ? 1 : 2));
  head.append(...columns.map(headCell));

  function headCell({ name, title }) {
    const cell = element("span", { className: `column ${name}`, role: "columnheader" });
    const button = element("button", { type: "button", textContent: title, tabIndex: 0 });
    button.dataset.sort = name;
    button.addEventListener("click", () => {
      const isSame = store.sort.by === name;
      const isDownFirst = ["start", "overlap", "size"].includes(name);
      store.change({ sort: { by: name, down: isSame ? !store.sort.down : isDownFirst } });
    });
    cell.append(button);
    return cell;
  }

  function showOrder() {
    for (const cell of head.children) {
      const isSorted = cell.firstChild.dataset.sort === store.sort.by;
      cell.ariaSort = isSorted ? (store.sort.down ? "descending" : "ascending") : "none";
    }
  }

  function arrange() {
    position = new Map(store.shown.map((place, index) => [place, index]));
    rows.style.height = `${store.shown.length * ROW_HEIGHT}px`;
    grid.ariaRowCount = String(store.shown.length + 1);
    rows.replaceChildren();
    made.clear();
    if (!store.shown.length) {
      const words = scenes.length ? "No scene passes the filters." : "No scenes.";
      rows.append(element("p", { className: "none", textContent: words }));
    }
    showOrder();
    fill();
  }

  // Insert the visible rows, and remove the others.
  function fill() {
    const list = rows.getBoundingClientRect();
    const frame = scroller.getBoundingClientRect();
    const [top, bottom] = [Math.max(frame.top, 0), Math.min(frame.bottom, innerHeight)];
    const first = Math.max(Math.floor((top - list.top) / ROW_HEIGHT) - OVERSCAN, 0);
    const last = Math.min(Math.ceil((bottom - list.top) / ROW_HEIGHT) + OVERSCAN, store.shown.length);
    const wanted = new Set(store.shown.slice(first, last));
    if (store.current !== null && position.has(store.current)) wanted.add(store.current); // it is the active descendant
    for (const [place, row] of made) {
      if (wanted.has(place)) continue;
      row.remove();
      made.delete(place);
    }
    for (const place of wanted) {
      if (made.has(place)) continue;
      const row = makeRow(place);
      made.set(place, row);
      rows.append(row);
    }
    mark();
  }

  function makeRow(place) {
    const scene = scenes[place];
    const index = position.get(place);
    const row = element("div", { className: "row", role: "row", id: `row-${place}` });
    row.dataset.place = String(place);
    row.ariaRowIndex = String(index + 2);
    row.style.transform = `translateY(${index * ROW_HEIGHT}px)`;
    const check = element("span", { className: "check", role: "gridcell" });
    check.append(element("i", { role: "checkbox", ariaLabel: "Choose" }));
    row.append(check, ...(pictures.isEmpty ? [] : [pictureCell(scene)]), nameCell(scene));
    for (const { name, text } of columns.slice(1)) {
      row.append(element("span", { className: `cell ${name}`, role: "gridcell", textContent: text(scene) }));
    }
    row.style.setProperty("--colour", colours.ramp(store.colour, store.share(scene)));
    return row;
  }

  function pictureCell(scene) {
    const cell = element("span", { className: "thumb", role: "gridcell" });
    const address = pictures.address(scene.id);
    if (!address) return cell;
    const image = element("img", { alt: "", draggable: false, decoding: "async" });
    image.addEventListener("error", () => image.remove()); // cut, or no picture after all
    image.src = address;
    cell.append(image);
    return cell;
  }

  function nameCell(scene) {
    const name = nameText(scene.id);
    const cut = Math.max(name.length - TAIL, 0);
    const cell = element("span", { className: "name", role: "gridcell", title: name });
    cell.append(
      element("span", { className: "first", textContent: name.slice(0, cut) }),
      element("span", { className: "last", textContent: name.slice(cut) }),
    );
    return cell;
  }

  function mark() {
    const hovered = new Set(store.hovered);
    for (const [place, row] of made) {
      const isPicked = store.picked.has(place);
      row.classList.toggle("hovered", hovered.has(place));
      row.classList.toggle("current", store.current === place);
      row.ariaSelected = String(isPicked);
      row.firstChild.firstChild.ariaChecked = String(isPicked);
    }
    if (made.has(store.current)) grid.setAttribute("aria-activedescendant", `row-${store.current}`);
    else grid.removeAttribute("aria-activedescendant");
  }

  // Scroll no further than necessary, and not at all on a page that scrolls itself, to keep the map in view.
  function reveal() {
    const index = position.get(store.current);
    if (index === undefined || scroller.scrollHeight <= scroller.clientHeight) return;
    const [top, bottom] = [index * ROW_HEIGHT, (index + 1) * ROW_HEIGHT];
    if (top < scroller.scrollTop) scroller.scrollTop = top - ROW_HEIGHT;
    else if (bottom > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = bottom - scroller.clientHeight + ROW_HEIGHT;
  }

  function placeOf(event) {
    const row = event.target.closest(".row");
    return row ? Number(row.dataset.place) : null;
  }

  rows.addEventListener("click", (event) => {
    const place = placeOf(event);
    if (place === null) return;
    if (event.target.closest(".check")) return togglePick(store, place);
    store.change({ current: place, here: [] });
    map.show(place);
  });
  rows.addEventListener("pointerover", (event) => {
    const place = placeOf(event);
    if (event.pointerType === "mouse" && place !== null) store.change({ hovered: [place] });
  });
  rows.addEventListener("pointerleave", () => store.hovered.length && store.change({ hovered: [] }));

  grid.addEventListener("keydown", (event) => {
    if (event.target !== grid || event.ctrlKey || event.metaKey || event.altKey || !store.shown.length) return;
    const now = position.get(store.current) ?? -1;
    const page = Math.max(Math.floor(scroller.clientHeight / ROW_HEIGHT) - 1, 1);
    const last = store.shown.length - 1;
    const next = {
      ArrowDown: now + 1,
      ArrowUp: Math.max(now - 1, 0),
      PageDown: now + page,
      PageUp: Math.max(now - page, 0),
      Home: 0,
      End: last,
    }[event.key];
    if (next !== undefined) store.change({ current: store.shown[Math.min(next, last)], here: [] });
    else if (event.key === " " && now >= 0) togglePick(store, store.current);
    else if (event.key === "Enter" && now >= 0) map.show(store.current);
    else return;
    event.preventDefault();
  });

  store.subscribe((changed) => {
    if (changed.has("shown") || changed.has("colour")) arrange();
    if (changed.has("current")) {
      reveal();
      fill();
    } else mark();
  });
  scroller.addEventListener("scroll", fill, { passive: true });
  addEventListener("scroll", fill, { passive: true });
  new ResizeObserver(fill).observe(scroller);
  new IntersectionObserver(fill).observe(scroller);
  addEventListener("resize", fill);
  arrange();
  return { arrange };
}

function element(name, values = {}) {
  return Object.assign(document.createElement(name), values);
}
