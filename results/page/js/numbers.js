// Numbers as short texts, and scales with ticks.

const NONE = "–";

function number(value, digits = 4) {
  if (value === null || value === undefined) return NONE;
  return value.toLocaleString("en", {minimumFractionDigits: digits, maximumFractionDigits: digits});
}

const whole = (value) => value.toLocaleString("en");

const plural = (count, name) => `${whole(count)} ${name}${count === 1 ? "" : "s"}`;

// A difference in percent with its sign and interval.
function signed(value, halfWidth) {
  return (value > 0 ? "+" : "") + withInterval(value, halfWidth, 2);
}

function short(value) {
  if (value === null || value === undefined) return NONE;
  for (const [size, letter] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]])
    if (Math.abs(value) >= size) return +(value / size).toPrecision(4) + letter;
  return String(+value.toPrecision(4));
}

function bytes(value) {
  if (value === null || value === undefined) return NONE;
  for (const [size, unit] of [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]])
    if (Math.abs(value) >= size) return +(value / size).toPrecision(4) + " " + unit;
  return value + " B";
}

function withInterval(mean, halfWidth, digits = 4) {
  const text = number(mean, digits);
  return halfWidth === undefined || mean === null ? text : `${text} ± ${number(halfWidth, digits)}`;
}

function clock(seconds) { // since 1970, UTC
  const text = new Date(seconds * 1000).toUTCString();
  return text.slice(5, 11) + " " + text.slice(17, 22);
}

const TIME_STEPS = [
  1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800,
];

function day(seconds) { return new Date(seconds * 1000).toUTCString().slice(5, 16); }

function hour(seconds, withSeconds) { return new Date(seconds * 1000).toUTCString().slice(17, withSeconds ? 25 : 22); }

function duration(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

// A scale is a function from values to pixels that knows its way back.
function scale(low, high, start, end, log = false) {
  const to = log ? Math.log : (value) => value;
  const a = to(low), span = to(high) - a || 1;
  const at = (value) => start + (to(value) - a) / span * (end - start);
  at.back = (place) => {
    const value = a + (place - start) / (end - start || 1) * span;
    return log ? Math.exp(value) : value;
  };
  Object.assign(at, {low, high, start, end, log});
  return at;
}

function ticks(at, most, steps) {
  if (at.log && at.high / at.low > 3) return logTicks(at.low, at.high, most);
  const span = at.high - at.low;
  if (!(span > 0)) return [at.low];
  const rough = span / most, power = 10 ** Math.floor(Math.log10(rough));
  const step = (steps || [1, 2, 5, 10].map((factor) => factor * power)).find((one) => one >= rough) || rough;
  const found = [];
  const last = (at.high + 1e-9 * span) / step;
  for (let i = Math.ceil(at.low / step - 1e-9); i <= last; i++) found.push(+(i * step).toPrecision(12));
  return found;
}

function logTicks(low, high, most) {
  let found = [];
  for (const factors of [[1, 2, 5], [1, 3], [1]]) {
    found = [];
    for (let decade = Math.floor(Math.log10(low)); decade <= Math.ceil(Math.log10(high)); decade++)
      for (const factor of factors) {
        const tick = factor * 10 ** decade;
        if (tick >= low * 0.999999 && tick <= high * 1.000001) found.push(tick);
      }
    if (found.length <= most + 1) return found;
  }
  return found.filter((_, i) => i % Math.ceil(found.length / most) === 0);
}

function decode16(text, low, high) {
  const raw = atob(text), values = new Float64Array(raw.length / 2);
  for (let i = 0; i < values.length; i++)
    values[i] = low + (raw.charCodeAt(2 * i) + 256 * raw.charCodeAt(2 * i + 1)) / 65535 * (high - low);
  return values;
}
