// Input on the map: drag, wheel, pinch, buttons, keys; hovering and clicking scenes.

const DRAG_PIXELS = 4;

function createPointing(map, store) {
  const { raised: surface, view } = map;
  const tip = document.getElementById("tip");
  const pointers = new Map();
  let mouse = null; // where the mouse is on the map; null: elsewhere, or it drags
  let travelled = 0;
  let spread = 0;

  const at = (event) => {
    const box = surface.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };

  surface.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    surface.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, at(event));
    travelled = pointers.size > 1 ? Infinity : 0; // a pinch never ends as a click
    spread = distance();
  });

  surface.addEventListener("pointermove", (event) => {
    const now = at(event);
    const before = pointers.get(event.pointerId);
    if (!before) {
      if (event.pointerType !== "mouse") return;
      mouse = now;
      return hover();
    }
    travelled += Math.hypot(now.x - before.x, now.y - before.y);
    pointers.set(event.pointerId, now);
    if (travelled < DRAG_PIXELS) return;
    leave();
    surface.classList.add("dragged");
    view.move((now.x - before.x) / pointers.size, (now.y - before.y) / pointers.size);
    if (pointers.size > 1) {
      const [middle, wide] = [centre(), distance()];
      if (spread > 0 && wide > 0) view.zoom(wide / spread, middle.x, middle.y);
      spread = wide;
    }
    map.moved();
  });

  const release = (event) => {
    if (!pointers.delete(event.pointerId)) return;
    spread = distance();
    surface.classList.toggle("dragged", pointers.size > 0 && travelled >= DRAG_PIXELS);
    if (event.type === "pointerup" && travelled < DRAG_PIXELS) click(at(event), event);
  };
  surface.addEventListener("pointerup", release);
  surface.addEventListener("pointercancel", release);
  surface.addEventListener("pointerleave", leave);

  surface.addEventListener(
    "wheel",
    (event) => {
      // Where the page itself scrolls, the wheel scrolls it.
      const doesScroll = document.documentElement.scrollHeight > innerHeight + 1;
      if (doesScroll && !event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 16 : 1;
      const { x, y } = at(event);
      view.zoom(2 ** (-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.003)), x, y);
      map.moved();
    },
    { passive: false },
  );

  surface.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const actions = {
      ArrowLeft: () => view.move(80, 0),
      ArrowRight: () => view.move(-80, 0),
      ArrowUp: () => view.move(0, 80),
      ArrowDown: () => view.move(0, -80),
      "+": () => view.zoom(1.5),
      "=": () => view.zoom(1.5),
      "-": () => view.zoom(1 / 1.5),
    };
    if (event.key === "0") return map.fit();
    if (event.key === "Escape") return hideTip();
    if (!actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
    map.moved();
  });

  const press = (id, action) => {
    document.getElementById(id).addEventListener("click", () => {
      action();
      map.moved();
    });
  };
  press("zoom-in", () => view.zoom(1.6));
  press("zoom-out", () => view.zoom(1 / 1.6));
  document.getElementById("zoom-fit").addEventListener("click", map.fit);

  // What is under the mouse, also after the map has moved or the filters have changed: the tip ends with its scene.
  map.whenMoved(() => mouse && hover());
  store.subscribe((changed) => {
    if (changed.has("shown") && mouse) hover();
    else if (!mouse) hideTip();
  });

  function leave() {
    mouse = null;
    hideTip();
    if (store.hovered.length) store.change({ hovered: [] });
  }

  function hover() {
    const { x, y } = mouse;
    const found = map.under(x, y);
    const [top] = found;
    if (store.hovered.length !== (found.length ? 1 : 0) || store.hovered[0] !== top) {
      store.change({ hovered: found.slice(0, 1) });
    }
    surface.classList.toggle("over", found.length > 0);
    if (!found.length) return hideTip();
    const { start, cloud } = store.scenes[top];
    const parts = [start === undefined ? "no date" : dateText(start)];
    if (cloud !== undefined) parts.push(`${percentText(cloud)} cloud`);
    if (found.length > 1) parts.push(`${found.length - 1} more below`);
    tip.textContent = parts.join("  ·  ");
    tip.hidden = false;
    const left = Math.min(x + 14, view.width - tip.offsetWidth - 8);
    const down = y + 40 > view.height ? y - 34 : y + 16;
    tip.style.transform = `translate(${Math.round(left)}px, ${Math.round(down)}px)`;
  }

  // Another click in the same place selects the scene below.
  function click({ x, y }, event) {
    const here = map.under(x, y);
    if (!here.length) return store.change({ current: null, here: [] });
    const isSame = here.length === store.here.length && here.every((place, index) => place === store.here[index]);
    const next = isSame ? here[(here.indexOf(store.current) + 1) % here.length] : here[0];
    store.change({ current: next, here });
    if (event.shiftKey || event.ctrlKey || event.metaKey) togglePick(store, next);
  }

  function hideTip() {
    tip.hidden = true;
  }

  function distance() {
    const [one, other] = [...pointers.values()];
    return other ? Math.hypot(one.x - other.x, one.y - other.y) : 0;
  }

  function centre() {
    const all = [...pointers.values()];
    const mean = (name) => all.reduce((sum, point) => sum + point[name], 0) / all.length;
    return { x: mean("x"), y: mean("y") };
  }
}

function togglePick(store, place) {
  const picked = new Set(store.picked);
  if (!picked.delete(place)) picked.add(place);
  store.change({ picked });
}
