"use strict";
// Small charts as SVG. Text enters by textContent only, so that no name of a run can be markup.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 360, HEIGHT = 220, LEFT = 52, RIGHT = 14, TOP = 8, BOTTOM = 38;

function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function html(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) node.setAttribute(name, value);
  node.append(...children.flat());
  return node;
}

/** Values that a reader can count by, over [low, high]. */
function ticks(low, high, log) {
  const marks = [];
  if (log && high > 4 * low) {
    const factors = high > 3000 * low ? [1] : high > 10 * low ? [1, 3] : [1, 2, 3, 5, 7];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
      for (const factor of factors) marks.push(factor * 10 ** power);
  } else {
    const raw = (high - low) / 5, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((width) => width >= raw);
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) marks.push(i * step);
  }
  return marks.filter((value) => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9));
}

/** A map of values to pixels [from, to], with room around them unless the axis begins at `zero`. */
function axis(values, from, to, { log = false, zero = false }) {
  let low = zero ? 0 : Infinity, high = zero ? 0 : -Infinity;
  for (const value of values) { low = Math.min(low, value); high = Math.max(high, value); }
  if (log && !(low > 0)) log = false;
  if (log) { [low, high] = low === high ? [low / 2, high * 2] : [low / 1.15, high * 1.15]; }
  else {
    const width = high - low || Math.abs(high) * 0.1 || 1;
    if (!zero) { low -= width * 0.08; high += width * 0.08; }
    else if (low === high) high = 1;
  }
  const put = log ? Math.log : (value) => value;
  const at = (value) => from + ((put(value) - put(low)) / (put(high) - put(low))) * (to - from);
  return { at, marks: ticks(low, high, log) };
}

const short = (value) => String(Number(value.toPrecision(3)));

/**
 * A chart of `series`: [{points: [[x, y, spread?]], method: index, title, run}], drawn as lines or as points with bars.
 * `x` and `y`: {label, log}.
 */
function chart(caption, series, { x, y, lines }) {
  const drawn = series.filter((one) => one.points.length);
  const figure = html("figure", { class: "chart" + (drawn.length > 8 ? " many" : "") }, html("figcaption", {}, caption));
  if (!drawn.length) return figure.append(html("p", { class: "note" }, "nothing logged")), figure;
  const all = drawn.flatMap((one) => one.points);
  const across = axis(all.map((point) => point[0]), LEFT, WIDTH - RIGHT, { log: x.log, zero: lines });
  const heights = all.flatMap(([, value, spread]) => [value - (spread || 0), value + (spread || 0)]);
  const up = axis(heights, HEIGHT - BOTTOM, TOP, { log: y.log });
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img",
    "aria-label": `${caption}: ${y.label} by ${x.label}, ${drawn.length} ${lines ? "lines" : "points"}` });
  for (const value of up.marks) picture.append(
    svg("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: up.at(value), y2: up.at(value) }),
    svg("text", { x: LEFT - 5, y: up.at(value) + 4, "text-anchor": "end" }, short(value)));
  for (const value of across.marks) picture.append(
    svg("line", { class: "grid", x1: across.at(value), x2: across.at(value), y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM + 4 }),
    svg("text", { x: across.at(value), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" }, short(value)));
  picture.append(
    svg("text", { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 5, "text-anchor": "middle" }, x.label),
    svg("text", { transform: `translate(11 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)`, "text-anchor": "middle" }, y.label));
  for (const one of drawn) picture.append(...(lines ? curve(one, across, up) : dots(one, across, up)));
  figure.append(picture);
  return figure;
}

const pixel = (value) => value.toFixed(1);

function curve({ points, method, title, run, style = "" }, across, up) {
  const place = ([x, y]) => `${pixel(across.at(x))},${pixel(up.at(y))}`;
  if (points.length === 1) {
    const [x, y] = points[0];
    return [svg("circle", { class: `point m${method}`, cx: across.at(x), cy: up.at(y), r: 3.5, "data-run": run }, svg("title", {}, title))];
  }
  return [svg("path", { class: `curve m${method} ${style}`, d: "M" + points.map(place).join("L"), "data-run": run }, svg("title", {}, title))];
}

// One shape for each method, so that colour is not all that tells them apart.
const SHAPES = ["M-5,-5H5V5H-5Z", "M0,-6L6,5H-6Z", "M0,-6L6,0L0,6L-6,0Z", "M-2,-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z"];

function dots({ points, method, title }, across, up) {
  return points.flatMap(([x, y, spread]) => {
    const left = across.at(x), top = up.at(y);
    const bar = spread ? [svg("line", { class: `bar m${method}`, x1: left, x2: left, y1: up.at(y - spread), y2: up.at(y + spread) })] : [];
    const shape = svg("path", { class: `point m${method}`, d: SHAPES[method % SHAPES.length], transform: `translate(${pixel(left)} ${pixel(top)})` },
      svg("title", {}, title));
    return [...bar, shape];
  });
}
