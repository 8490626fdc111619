// The selected scenes, and their identifiers for the clipboard: one per line, as `--ids` reads them.

function createTray(store) {
  const text = document.getElementById("tray-text");
  const size = document.getElementById("tray-size");
  const copy = document.getElementById("copy");
  const all = document.getElementById("pick-all");
  const none = document.getElementById("pick-none");

  function show() {
    const picked = [...store.picked];
    const total = store.total(picked);
    text.textContent = picked.length ? `${picked.length.toLocaleString("en")} chosen` : "None chosen";
    size.textContent = total;
    copy.disabled = none.disabled = !picked.length;
    all.disabled = !store.shown.length;
  }

  // In the order of the list; a line break within a name must not split it.
  function identifiers() {
    const sorted = [...store.shown.filter((place) => store.picked.has(place))];
    const hidden = [...store.picked].filter((place) => !sorted.includes(place));
    return [...sorted, ...hidden].map((place) => store.scenes[place].id.replace(/[\s\p{Cc}]+/gu, " ")).join("\n");
  }

  async function write() {
    const list = identifiers();
    try {
      await navigator.clipboard.writeText(`${list}\n`);
      text.textContent = `${store.picked.size.toLocaleString("en")} copied`;
    } catch {
      offer(list);
    }
  }

  // Where pages may not use the clipboard, as in a notebook: show a text to copy by hand.
  function offer(list) {
    const area = document.getElementById("copy-text");
    area.value = list;
    document.getElementById("copy-dialog").showModal();
    area.focus();
    area.select();
  }

  copy.addEventListener("click", write);
  all.addEventListener("click", () => store.change({ picked: new Set([...store.picked, ...store.shown]) }));
  none.addEventListener("click", () => store.change({ picked: new Set() }));
  store.subscribe((changed) => {
    if (changed.has("picked") || changed.has("shown")) show();
  });
  show();
}
