// The chosen scenes, and their identifiers: one per line, as `--ids` reads them, for the clipboard or as a file.

const FILE_NAME = "chosen.txt";

function createTray(store, command) {
  const part = (name) => document.getElementById(`tray-${name}`);
  const copy = document.getElementById("copy");
  const save = document.getElementById("save");
  const all = document.getElementById("pick-all");
  const none = document.getElementById("pick-none");

  function show() {
    const picked = [...store.picked];
    const hidden = hiddenOnes();
    part("text").textContent = picked.length ? `${picked.length.toLocaleString("en")} chosen` : "None chosen";
    part("size").textContent = store.total(picked);
    part("hidden-text").textContent = hidden.length
      ? `${hidden.length.toLocaleString("en")} chosen ${hidden.length === 1 ? "is" : "are"} hidden by the filter`
      : "";
    part("leave").hidden = !hidden.length;
    part("next").hidden = !picked.length || !command;
    copy.disabled = save.disabled = none.disabled = !picked.length;
    all.disabled = !store.shown.length;
  }

  function hiddenOnes() {
    const shown = new Set(store.shown);
    return [...store.picked].filter((place) => !shown.has(place));
  }

  // In the order of the list; a line break within a name must not split it.
  function identifiers() {
    const sorted = store.shown.filter((place) => store.picked.has(place));
    const places = [...sorted, ...hiddenOnes()];
    return places.map((place) => store.scenes[place].id.replace(/[\s\p{Cc}]+/gu, " ")).join("\n");
  }

  async function toClipboard(text, title, done) {
    try {
      await navigator.clipboard.writeText(text);
      part("text").textContent = done;
    } catch {
      offer(text.trimEnd(), title);
    }
  }

  // Where pages may not use the clipboard, as in a notebook: show a text to copy by hand.
  function offer(text, title) {
    const area = document.getElementById("copy-text");
    document.getElementById("copy-title").textContent = title;
    area.ariaLabel = title;
    area.value = text;
    document.getElementById("copy-dialog").showModal();
    area.focus();
    area.select();
  }

  function download() {
    const file = new Blob([`${identifiers()}\n`], { type: "text/plain" });
    const link = element("a", { download: FILE_NAME, href: URL.createObjectURL(file) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    part("text").textContent = `Saved as ${FILE_NAME}`;
  }

  copy.addEventListener("click", () => {
    toClipboard(`${identifiers()}\n`, "Identifiers", `${store.picked.size.toLocaleString("en")} copied`);
  });
  save.addEventListener("click", download);
  part("leave").addEventListener("click", () => {
    const hidden = new Set(hiddenOnes());
    store.change({ picked: new Set([...store.picked].filter((place) => !hidden.has(place))) });
    copy.focus(); // for the button that had the focus is gone
  });
  part("command").textContent = command;
  part("copy-command").addEventListener("click", () => toClipboard(command, "Command", "Command copied"));
  all.addEventListener("click", () => store.change({ picked: new Set([...store.picked, ...store.shown]) }));
  none.addEventListener("click", () => store.change({ picked: new Set() }));
  store.subscribe((changed) => {
    if (changed.has("picked") || changed.has("shown")) show();
  });
  show();
}
