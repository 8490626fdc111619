// The card of the selected scene: its quicklook and properties.

function createCard(store, map, pictures) {
  const card = document.getElementById("scene");
  const part = (name) => document.getElementById(`scene-${name}`);

  function show() {
    const place = store.current;
    card.hidden = place === null;
    if (place === null) return;
    const scene = store.scenes[place];
    const [date, name, image] = [part("date"), part("name"), part("image")];
    date.textContent = scene.start === undefined ? "No date" : `${dateText(scene.start)}, ${clockText(scene.start)} UTC`;
    name.textContent = nameText(scene.id);
    part("facts").replaceChildren(...facts(scene).map(([title, text]) => {
      const fact = element("div");
      fact.append(element("dt", { textContent: title }), element("dd", { textContent: text }));
      return fact;
    }));
    const look = pictures.address(scene.id);
    image.hidden = !look;
    if (look) Object.assign(image, { src: look, alt: `Quicklook of ${nameText(scene.id)}` });
    else image.removeAttribute("src");
    const at = store.here.indexOf(place);
    part("place").textContent = store.here.length > 1 ? `${at + 1} of ${store.here.length} here` : "";
    for (const button of [part("previous"), part("next")]) button.hidden = store.here.length < 2;
    showPicked();
  }

  function showPicked() {
    if (store.current === null) return;
    const isPicked = store.picked.has(store.current);
    part("pick").textContent = isPicked ? "Chosen" : "Choose";
    part("pick").ariaPressed = String(isPicked);
  }

  function facts(scene) {
    const known = [
      ["Platform", scene.platform && nameText(scene.platform)],
      ["Tile", scene.tile && nameText(scene.tile)],
      ["Cloud", scene.cloud !== undefined && percentText(scene.cloud)],
      ["Orbit", scene.orbit && nameText(scene.orbit)],
      ["Overlap", scene.overlap !== undefined && percentText(scene.overlap)],
      ["Size", scene.size !== undefined && bytesText(scene.size)],
      ["Footprint", !scene.shape && "unknown"],
      ["Archive", scene.problem && nameText(scene.problem)],
    ];
    return known.filter(([, text]) => text);
  }

  const step = (by) => {
    const { here, current } = store;
    store.change({ current: here[(here.indexOf(current) + by + here.length) % here.length] });
  };
  part("image").addEventListener("error", () => (part("image").hidden = true)); // cut, or no picture after all
  part("previous").addEventListener("click", () => step(-1));
  part("next").addEventListener("click", () => step(1));
  part("close").addEventListener("click", close);
  part("pick").addEventListener("click", () => togglePick(store, store.current));
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && store.current !== null && !document.querySelector("dialog[open]")) close();
  });

  function close() {
    const hadFocus = card.contains(document.activeElement);
    store.change({ current: null, here: [] });
    if (hadFocus) map.raised.focus();
  }

  store.subscribe((changed) => {
    if (changed.has("current")) show();
    else if (changed.has("picked")) showPicked();
  });
}
