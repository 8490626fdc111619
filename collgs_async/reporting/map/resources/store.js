// State: the reader's settings, and the scenes that result from them. Views subscribe to changes.

function createStore(scenes) {
  const dated = scenes.map((scene) => scene.start).filter((start) => start !== undefined);
  const limits = dated.length ? [smallest(dated), largest(dated)] : null;
  const listeners = [];
  let waiting = null;

  const store = {
    scenes,
    limits, // first and last sensing time in seconds; null without any
    from: -Infinity,
    to: Infinity,
    cloud: 100,
    only: {}, // the wanted value of each of CHOICES, as `isOne` reads it; absent: any
    layers: { footprints: true, pictures: true, area: true, tiles: true },
    colour: "date",
    sort: { by: "start", down: true },
    picked: new Set(),
    current: null, // the scene that is looked at, by its place in `scenes`
    here: [], // the scenes at the point that was clicked, among them the current one
    hovered: [],
    shown: [], // places in `scenes`, filtered and sorted
    change,
    subscribe: (listener) => listeners.push(listener),
    share,
    total: (places) => totalText(places.map((place) => scenes[place])),
  };

  function passes(scene) {
    const isDated = scene.start === undefined ? store.from === -Infinity && store.to === Infinity : true;
    const isInside = scene.start === undefined || (scene.start >= store.from && scene.start < store.to);
    const isClear = scene.cloud === undefined || scene.cloud <= store.cloud;
    return isDated && isInside && isClear && Object.entries(store.only).every(([name, value]) => isOne(scene[name], value));
  }

  // The position of a scene between the two ends of the ramp, 0 to 1.
  function share(scene) {
    if (store.colour === "cloud") return scene.cloud === undefined ? undefined : scene.cloud / 100;
    if (scene.start === undefined) return undefined;
    return limits[1] > limits[0] ? (scene.start - limits[0]) / (limits[1] - limits[0]) : 1;
  }

  function refresh() {
    const { by, down } = store.sort;
    const sign = down ? -1 : 1;
    const compare = (one, other) => {
      const [a, b] = [scenes[one][by], scenes[other][by]];
      if (a === undefined || b === undefined) return (a === undefined) - (b === undefined) || one - other; // unknown last
      return sign * (a < b ? -1 : a > b ? 1 : 0) || one - other;
    };
    store.shown = [...scenes.keys()].filter((place) => passes(scenes[place])).sort(compare);
  }

  // Notify views once per frame, with the names of all changes in it.
  function change(values) {
    const names = Object.keys(values);
    Object.assign(store, values);
    if (names.some((name) => ["from", "to", "cloud", "only", "sort"].includes(name))) {
      refresh();
      names.push("shown");
      store.hovered = [];
      if (store.current !== null && !passes(scenes[store.current])) {
        Object.assign(store, { current: null, here: [] });
        names.push("current");
      }
    }
    if (!waiting) {
      waiting = new Set();
      requestAnimationFrame(() => {
        const changed = waiting;
        waiting = null;
        for (const listener of listeners) listener(changed);
      });
    }
    for (const name of names) waiting.add(name);
  }

  refresh();
  return store;
}

// Whether a text is the wanted one, or begins with its words: "DESC" is any of the descending orbits.
const isOne = (text, wanted) => text === wanted || (text !== undefined && text.startsWith(`${wanted} `));

// Math.min(...numbers) overflows the stack for long arrays.
const smallest = (numbers) => numbers.reduce((least, number) => (number < least ? number : least), Infinity);
const largest = (numbers) => numbers.reduce((most, number) => (number > most ? number : most), -Infinity);
