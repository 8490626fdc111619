// Colours: those of the theme, from the style sheet, and two perceptually uniform ramps.
//
// A ramp is linear in OKLCH, whose lightness matches perception, so that it is uniform by construction and
// readable without its hues; its chroma is within every screen's gamut. All colours keep a contrast of 3:1 on the map.

const RAMPS = {
  date: {
    light: [[0.595, 0.105, 162], [0.455, 0.1, 231], [0.3, 0.16, 300]],
    dark: [[0.56, 0.16, 295], [0.745, 0.13, 212], [0.93, 0.15, 130]],
  },
  cloud: { light: [[0.36, 0.17, 262], [0.59, 0.012, 250]], dark: [[0.58, 0.18, 258], [0.95, 0.008, 250]] },
};
const STEPS = 128;

function createColours() {
  const root = document.documentElement;
  const probe = document.createElement("i");
  probe.hidden = true;
  document.body.append(probe);

  // A custom property with light-dark() is only resolved where it is used.
  const resolved = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const names = ["sea", "land", "coast", "border", "river", "water", "grid", "ink", "quiet", "halo", "accent", "unknown", "paper", "faint"];
  const colours = { theme: {}, isDark: false, ramp, toggle, read };

  function read() {
    const chosen = root.dataset.theme;
    colours.isDark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    colours.theme = Object.fromEntries(names.map((name) => [name, resolved(name)]));
    return colours;
  }

  function toggle() {
    root.dataset.theme = colours.isDark ? "light" : "dark";
    read();
  }

  // The colour at `share`, 0 to 1; without a share, that of unknown values.
  function ramp(kind, share, alpha = 1) {
    if (share === undefined) return alpha === 1 ? colours.theme.unknown : faded(colours.theme.unknown, alpha);
    const stops = RAMPS[kind][colours.isDark ? "dark" : "light"];
    const at = (Math.round(Math.min(Math.max(share, 0), 1) * STEPS) / STEPS) * (stops.length - 1);
    const first = Math.min(Math.floor(at), stops.length - 2);
    const [light, chroma, hue] = stops[first].map((start, index) => start + (stops[first + 1][index] - start) * (at - first));
    return `oklch(${light.toFixed(4)} ${chroma.toFixed(4)} ${hue.toFixed(1)} / ${alpha})`;
  }

  return read();
}

function faded(colour, alpha) {
  return colour.replace(/^rgb\((.*)\)$/, (_, parts) => `rgb(${parts.replaceAll(",", " ")} / ${alpha})`);
}
