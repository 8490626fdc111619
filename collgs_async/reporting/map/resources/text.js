// Format numbers and times. Times are UTC.

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY = 86400;
const UNKNOWN = "–";

const two = (number) => String(number).padStart(2, "0");
const count = (number, one, many = `${one}s`) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

function dateText(seconds) {
  const date = new Date(seconds * 1000);
  return `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]} ${date.getUTCFullYear()}`;
}

function clockText(seconds) {
  const date = new Date(seconds * 1000);
  return `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}`;
}

function isoText(seconds) {
  return new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ");
}

// A range without the common parts of its ends: "3 – 28 Aug 2021".
function rangeText(from, to) {
  const [first, last] = [dateText(from), dateText(to)];
  if (first === last) return first;
  const [day, month, year] = first.split(" ");
  const [, lastMonth, lastYear] = last.split(" ");
  if (year !== lastYear) return `${first} – ${last}`;
  return month === lastMonth ? `${day} – ${last}` : `${day} ${month} – ${last}`;
}

function bytesText(bytes) {
  let power = 0;
  while (power < 6 && Math.round(bytes / 1000 ** power) >= 1000) power += 1;
  const value = bytes / 1000 ** power;
  return `${power && value < 99.95 ? value.toFixed(1) : Math.round(value)} ${["B", "kB", "MB", "GB", "TB", "PB", "EB"][power]}`;
}

function percentText(value) {
  return value > 0 && value < 9.95 ? `${value.toFixed(1)} %` : `${Math.round(value)} %`;
}

// Names are untrusted: they must not contain characters that change the direction of text or are invisible.
function nameText(name) {
  return name.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "?");
}

function totalText(scenes) {
  const sizes = scenes.map((scene) => scene.size).filter((size) => size !== undefined);
  if (!sizes.length) return "";
  const total = bytesText(sizes.reduce((sum, size) => sum + size, 0));
  return sizes.length < scenes.length ? `at least ${total}` : total;
}
