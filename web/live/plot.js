// Two plots over the steps of a run: residuals (log axis, against the noise floor) and the mean pairwise distance.
// Own SVG, built from elements and text; no markup is parsed.

import { blindOf } from "./message.js";
import { short } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const LEFT = 52; // the axis's title and its numbers
const RIGHT = 8;
const FOOT = 30; // the same below
const DECADES_MOST = 12;

// Okabe & Ito's colours that can be told apart on a dark and on a light ground, with any kind of colour vision.
const COLOURS = ["#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#D55E00", "#0072B2"];
const DASHES = ["", "6 3", "2 3", "8 3 2 3"];

export const colourOf = (name) => COLOURS[name % COLOURS.length];
const dashOf = (name) => DASHES[Math.floor(name / COLOURS.length) % DASHES.length];

function draw(parent, tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

function label(svg, x, y, text, anchor = "start", extra = {}) {
  const halo = { stroke: "var(--comfy-input-bg, #222)", "stroke-width": 3, "paint-order": "stroke" };
  return draw(
    svg,
    "text",
    { x, y, "text-anchor": anchor, "font-size": 11, fill: "currentColor", ...halo, ...extra },
    text,
  );
}

/** What stands along the left edge, from bottom to top. */
function title(svg, middle, text) {
  return label(svg, 0, 0, text, "middle", { transform: `translate(11 ${middle}) rotate(-90)`, class: "title" });
}

/** From steps to pixels: step 0 at the left edge, the last one at the right. */
function stepAxis(width, steps) {
  const right = Math.max(LEFT + 1, width - RIGHT);
  const last = Math.max(1, steps - 1);
  return {
    right,
    x: (step) => LEFT + ((right - LEFT) * Math.min(step, last)) / last,
    step: (x) => Math.round(((x - LEFT) / (right - LEFT)) * last),
  };
}

/** The stretch with repulsion and the moment of pruning, behind everything else. */
function drawPhases(svg, axis, height, message, words, named) {
  const repelling = message.rows.filter((row) => row.repulsion > 0);
  if (repelling.length) {
    const [from, to] = [axis.x(repelling[0].step), axis.x(repelling.at(-1).step)];
    const width = Math.max(2, to - from);
    draw(svg, "rect", { x: from, y: 0, width, height, fill: "currentColor", opacity: 0.12, class: "repulsion" });
    if (named) label(svg, from + 3, height - 4, words.repulsion, "start", { opacity: 0.8 });
  }
  for (const row of message.rows.filter((row) => row.pruning)) {
    const x = axis.x(row.step);
    const line = { x1: x, x2: x, y1: 0, y2: height, stroke: "currentColor", "stroke-width": 1.5 };
    draw(svg, "line", { ...line, class: "prune", "data-step": row.step });
    if (named) label(svg, x - 4, 10, words.phases.prune, "end");
  }
}

/** A line with gaps where a number is missing. */
function pathOf(points) {
  let pen = "M";
  const parts = [];
  for (const [x, y] of points) {
    if (y === null) {
      pen = "M";
    } else {
      parts.push(`${pen}${x.toFixed(1)} ${y.toFixed(1)}`);
      pen = "L";
    }
  }
  return parts.length === 1 ? `${parts[0]}h1` : parts.join("");
}

/** Round numbers between 10^low and 10^high: 1, 2, 5 within a short stretch, else at most five powers of ten. */
function ticks(low, high) {
  const every = Math.ceil((high - low) / 5);
  const steps = high - low > 1.5 ? [1] : [1, 2, 5];
  const found = [];
  for (let decade = Math.floor(low); decade <= high; decade++) {
    if (decade % every) continue;
    for (const step of steps) {
      const value = Number(`${step}e${decade}`);
      if (Math.log10(value) >= low && Math.log10(value) <= high) found.push(value);
    }
  }
  return found;
}

/** The numbers of the first, the middle and the last step, and the axis's title. */
function drawSteps(svg, axis, bottom, message, words) {
  const last = Math.max(1, message.steps);
  draw(svg, "line", { x1: LEFT, x2: axis.right, y1: bottom, y2: bottom, stroke: "currentColor", opacity: 0.4 });
  const middle = axis.right - LEFT > 160 && last > 4 ? [Math.round((last + 1) / 2)] : [];
  for (const step of new Set([1, ...middle, last])) {
    const x = axis.x(step - 1);
    draw(svg, "line", { x1: x, x2: x, y1: bottom, y2: bottom + 3, stroke: "currentColor", opacity: 0.4 });
    label(svg, x, bottom + 14, String(step), step === last && last > 1 ? "end" : "middle", { opacity: 0.8 });
  }
  label(svg, (LEFT + axis.right) / 2, bottom + 27, words.stepAxis, "middle", { class: "title" });
}

/** Residual of every particle; the blind choice is drawn thicker. Every line carries its exact numbers. */
export function drawResiduals(svg, width, whole, message, particles, words) {
  svg.replaceChildren();
  const height = whole - FOOT;
  const axis = stepAxis(width, message.steps);
  const unit = message.noise_floor > 0 ? message.noise_floor : 1;
  const values = particles.flatMap(({ points }) => points.flatMap((point) => [point.chain, point.residual]));
  const logs = values.filter((value) => value > 0).map((value) => Math.log10(value / unit));
  if (unit !== 1) logs.push(0);
  const high = logs.length ? Math.max(...logs) : 1;
  const span = Math.min(DECADES_MOST, Math.max(0.3, high - Math.min(...logs, high)));
  const low = high - 1.16 * span; // room for the label under the noise floor
  const y = (value) => {
    if (value === null) return null;
    const at = value > 0 ? Math.log10(value / unit) : low;
    return 6 + ((high - Math.max(low, at)) / (high - low)) * (height - 8);
  };
  drawPhases(svg, axis, height, message, words, true);
  drawSteps(svg, axis, height, message, words);
  title(svg, height / 2, unit === 1 ? words.residual : words.residualAxis);
  for (const value of ticks(low, high)) {
    const at = y(unit * value);
    draw(svg, "line", { x1: LEFT, x2: axis.right, y1: at, y2: at, stroke: "currentColor", opacity: 0.15 });
    const text = value >= 1e4 || value < 1e-2 ? value.toExponential(0).replace("e+", "e") : String(value);
    label(svg, LEFT - 4, Math.max(10, at + 4), unit === 1 ? text : `${text}×`, "end", { opacity: 0.8 });
  }
  if (unit !== 1) {
    const floor = { x1: LEFT, x2: axis.right, y1: y(unit), y2: y(unit), stroke: "currentColor" };
    draw(svg, "line", { ...floor, "stroke-dasharray": "5 4", class: "floor", "data-noise-floor": unit });
    label(svg, axis.right, y(unit) + 12, words.noiseFloor, "end");
  }
  const chosen = blindOf(message);
  for (const { name, points, reason } of particles) {
    const stroke = { stroke: colourOf(name), fill: "none", opacity: reason === null ? 1 : 0.65 };
    for (const { step, chain, residual } of points.filter((point) => point.chain !== point.residual)) {
      // What hard consistency took off this step's residual.
      const [from, to] = [y(chain), y(residual)];
      const [x1, x2] = [axis.x(step), axis.x(step)];
      if (from !== null && to !== null) draw(svg, "line", { ...stroke, x1, x2, y1: from, y2: to, opacity: 0.5 });
    }
    const path = draw(svg, "path", {
      ...stroke,
      d: pathOf(points.map((point) => [axis.x(point.step), y(point.residual)])),
      "stroke-width": name === chosen ? 3 : 1.5,
      "stroke-dasharray": dashOf(name),
      "stroke-linejoin": "round",
      class: "particle",
    });
    path.dataset.particle = name;
    path.dataset.points = JSON.stringify(points);
  }
  return { axis, y };
}

/** Mean pairwise distance, linear from 0. */
export function drawDistance(svg, width, height, message, words) {
  svg.replaceChildren();
  const axis = stepAxis(width, message.steps);
  const points = message.rows.map((row) => ({ step: row.step, distance: row.pairwise_distance ?? null }));
  const most = Math.max(...points.map((point) => point.distance ?? 0), 1e-30);
  drawPhases(svg, axis, height, message, words, false);
  const y = (value) => (value === null ? null : 2 + (1 - value / most) * (height - 4));
  draw(svg, "line", { x1: LEFT, x2: axis.right, y1: y(0), y2: y(0), stroke: "currentColor", opacity: 0.4 });
  label(svg, LEFT - 4, y(0) + 1, "0", "end", { opacity: 0.8 });
  if (height > 30 && points.some((point) => point.distance > 0)) {
    label(svg, LEFT - 4, y(most) + 9, short(most), "end", { opacity: 0.8 });
  }
  const path = draw(svg, "path", {
    d: pathOf(points.map((point) => [axis.x(point.step), y(point.distance)])),
    fill: "none",
    stroke: "currentColor",
    "stroke-width": 1.5,
    class: "distance",
  });
  path.dataset.points = JSON.stringify(points);
  return { axis, y, most };
}

/** The step under the pointer, and the line that marks it. */
export function drawPointer(svg, axis, height, step) {
  svg.querySelector(".pointer")?.remove();
  if (step === null) return;
  const x = axis.x(step);
  draw(svg, "line", { x1: x, x2: x, y1: 0, y2: height, stroke: "currentColor", opacity: 0.6, class: "pointer" });
}
