// The picture of one run: phases, thumbnails, two plots and a line of numbers. It knows nothing of the editor.

import { blindOf, particlesOf, phasesOf } from "./message.js";
import { colourOf, drawDistance, drawPointer, drawResiduals } from "./plot.js";
import { short } from "./words.js";

const PLOT = 150; // pixels high, with the axis below
const MANY = 8; // more particles than these are shown smaller
const STYLE_ID = "sampler-lab-run-style";
const STYLE = `
.sampler-lab-run { box-sizing: border-box; display: flex; flex-direction: column; gap: 4px; padding: 6px;
  overflow: hidden; font: 12px/1.35 sans-serif; color: var(--input-text, #ddd); user-select: text;
  background: var(--comfy-input-bg, #222); border-radius: 4px; }
.sampler-lab-run .line { display: flex; flex-wrap: wrap; gap: 0 8px; justify-content: space-between; }
.sampler-lab-run .phase { opacity: 0.55; white-space: nowrap; }
.sampler-lab-run .phase.reached { opacity: 1; }
.sampler-lab-run .phase.current { font-weight: bold; text-decoration: underline; }
.sampler-lab-run .thumbs { display: flex; flex-wrap: wrap; gap: 6px; max-height: 262px; overflow: auto; flex: none; }
.sampler-lab-run figure { --side: 68px; margin: 0; width: var(--side); font-size: 11px; line-height: 1.25; }
.sampler-lab-run figure img { display: block; box-sizing: border-box; width: var(--side); height: var(--side);
  border: 3px solid; border-radius: 3px; object-fit: cover; background: #8884; }
.sampler-lab-run figure.dropped img { filter: grayscale(1); opacity: 0.5; border-style: dashed; }
.sampler-lab-run .many figure { --side: 44px; font-size: 10px; }
.sampler-lab-run .many.few-left figure { --side: 52px; }
.sampler-lab-run .many figure.dropped { --side: 28px; }
.sampler-lab-run .many figure.dropped img { border-width: 2px; }
.sampler-lab-run .many .note { display: none; }
.sampler-lab-run figcaption div { overflow-wrap: anywhere; }
.sampler-lab-run .plot { position: relative; flex: 1 0 auto; }
.sampler-lab-run .plot svg { position: absolute; inset: 0; display: block; width: 100%; height: 100%; }
.sampler-lab-run .residuals { height: ${PLOT}px; }
.sampler-lab-run .distances { height: 34px; flex-grow: 0; }
.sampler-lab-run .readout { min-height: 32px; font-size: 12px; flex: none; overflow-wrap: anywhere; }
`;

function make(parent, tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

function makePlot(parent, className) {
  const box = make(parent, "div", `plot ${className}`);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  box.append(svg);
  return svg;
}

/** Puts ``text`` there only if it is not there already, so that a text being selected is left alone. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export class RunView {
  /** ``words``: of words.js; ``changed``: called when the picture has become taller or smaller. */
  constructor(words, changed = () => {}) {
    this.words = words;
    this.changed = changed;
    this.message = null;
    this.lost = false;
    this.frame = 0;
    this.hint = "";
    const root = document.createElement("div");
    this.element = root;
    root.className = "sampler-lab-run";
    root.setAttribute("role", "img");
    if (!document.getElementById(STYLE_ID)) make(document.head, "style", "", STYLE).id = STYLE_ID;
    const head = make(root, "div", "line");
    this.phases = make(head, "span", "phases");
    this.progress = make(head, "span", "progress");
    this.thumbs = make(root, "div", "thumbs");
    this.residuals = makePlot(root, "residuals");
    this.distanceLabel = make(root, "div", "line distance-label");
    this.distances = makePlot(root, "distances");
    this.readout = make(root, "div", "readout");
    this.figures = new Map();
    for (const svg of [this.residuals, this.distances]) {
      svg.addEventListener("pointermove", (event) => this.pointAt(svg, event));
      svg.addEventListener("pointerleave", () => this.pointAt(svg, null));
    }
    this.resized = new ResizeObserver(() => this.request());
    // The plots too: a text above or below them that grows takes their room.
    for (const each of [root, this.residuals.parentElement, this.distances.parentElement]) this.resized.observe(each);
  }

  /** Shows this message; the drawing is done in the next animation frame, once for however many messages. */
  show(message, lost = false) {
    this.message = message;
    this.lost = lost;
    this.request();
  }

  request() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      if (this.message) this.draw();
    });
  }

  remove() {
    this.resized.disconnect();
    cancelAnimationFrame(this.frame);
    this.message = null;
  }

  draw() {
    const { message, words } = this;
    const particles = particlesOf(message);
    this.blind = blindOf(message);
    // Texts first: the plots have the room that these leave.
    this.drawHead();
    this.drawThumbnails(particles);
    say(this.distanceLabel, `${words.distance}: ${short(message.rows.at(-1)?.pairwise_distance)}`);
    this.showReadout();
    const [width, height] = [this.residuals.clientWidth || 320, this.residuals.clientHeight || PLOT];
    this.plot = { ...drawResiduals(this.residuals, width, height, message, particles, words), height };
    drawDistance(this.distances, width, this.distances.clientHeight || 34, message, words);
    this.expose();
    if (this.element.offsetHeight) this.changed(this.height());
  }

  /** The height that everything needs, in the editor's own pixels. */
  height() {
    const parts = [...this.element.children];
    const fixed = parts.reduce((sum, part) => sum + (part.classList.contains("residuals") ? PLOT : part.offsetHeight), 0);
    return fixed + 4 * (parts.length - 1) + 14;
  }

  get status() {
    return this.lost ? "lost" : this.message.status;
  }

  drawHead() {
    const { message, words } = this;
    const { reached, all, current } = phasesOf(message);
    const running = message.status === "running" && !this.lost;
    this.phases.replaceChildren();
    (running ? all : reached).forEach((phase, k) => {
      if (k) this.phases.append(" → ");
      const name = make(this.phases, "span", "phase", words.phases[phase]);
      name.dataset.phase = phase;
      name.classList.toggle("reached", reached.includes(phase) || phase === current);
      name.classList.toggle("current", running && phase === current);
    });
    const done = message.rows.length ? message.rows.at(-1).step + 1 : 0;
    const parts = [words.step(done, message.steps), words.status[this.status]];
    if (message.seconds) parts.push(words.seconds(short(message.seconds)));
    say(this.progress, parts.join(" · "));
  }

  /** Of many particles those that go on come first, and the others are small: their words stand in their tooltips. */
  drawThumbnails(particles) {
    const many = particles.length > MANY;
    const left = particles.filter(({ reason }) => reason === null);
    const dropped = particles.filter(({ reason }) => reason !== null);
    this.thumbs.classList.toggle("many", many);
    this.thumbs.classList.toggle("few-left", left.length <= MANY);
    const names = new Set(particles.map((particle) => particle.name));
    for (const [name, figure] of this.figures) {
      if (names.has(name)) continue;
      figure.element.remove();
      this.figures.delete(name);
    }
    const figures = (many ? [...left, ...dropped] : particles).map((particle) => this.drawFigure(particle, many));
    figures.forEach((element, place) => {
      const there = this.thumbs.children[place] ?? null;
      if (there !== element) this.thumbs.insertBefore(element, there);
    });
  }

  drawFigure(particle, many) {
    const { message, words } = this;
    const { name, residual, reason, parent } = particle;
    const figure = this.figureOf(name);
    const url = message.thumbnails[name] ?? message.thumbnails[parent] ?? "";
    if (url && figure.image.getAttribute("src") !== url) figure.image.src = url;
    figure.image.style.opacity = url ? "" : "0.3"; // a frame that waits for its picture
    const chosen = name === this.blind;
    say(figure.name, `${chosen ? "★ " : ""}${name}${many && reason !== null ? "" : this.shortly(residual, many)}`);
    const notes = [];
    if (chosen) notes.push(words.blind);
    if (parent !== null) notes.push(words.copyOf(parent));
    if (reason !== null) notes.push(`${words.dropped}: ${words.reason(reason)}`);
    say(figure.note, notes.join(", "));
    figure.element.classList.toggle("dropped", reason !== null);
    figure.element.title = this.sentenceOf(particle);
    Object.assign(figure.element.dataset, {
      particle: name,
      residual: String(residual),
      dropped: reason ?? "",
      blind: String(chosen),
    });
    return figure.element;
  }

  /** A residual in a caption. */
  shortly(residual, many) {
    if (residual === null) return "";
    const relative = this.message.noise_floor > 0 ? `${short(this.times(residual))}×` : short(residual);
    return (many ? " " : " · ") + relative;
  }

  figureOf(name) {
    let figure = this.figures.get(name);
    if (!figure) {
      const element = make(this.thumbs, "figure");
      const image = make(element, "img");
      image.alt = "";
      image.style.borderColor = colourOf(name);
      const caption = make(element, "figcaption");
      figure = { element, image, name: make(caption, "div"), note: make(caption, "div", "note") };
      this.figures.set(name, figure);
    }
    return figure;
  }

  times(residual) {
    return residual === null ? null : residual / this.message.noise_floor;
  }

  /** One particle in words. A score is there where the run itself chose: it is by what, the smallest first. */
  sentenceOf({ name, residual, reason, score = null, doubt = null }) {
    const { message, words } = this;
    const parts = [`${words.particle(name)}: ${words.residual} ${residual === null ? words.notFinite : short(residual)}`];
    if (residual !== null && message.noise_floor > 0) parts.push(words.timesFloor(short(this.times(residual))));
    if (score !== null) parts.push(words.score(short(score), short(doubt)));
    if (reason !== null) parts.push(`${words.dropped}: ${words.reason(reason)}`);
    return parts.join(", ");
  }

  /** Under the plots: what the pointer is at; else the blind choice and the record's file. */
  showReadout() {
    const { message, words } = this;
    if (this.hint) return say(this.readout, this.hint);
    const parts = [];
    const chosen = particlesOf(message).find((particle) => particle.name === this.blind);
    if (chosen) parts.push(`★ ${words.blind}: ${this.sentenceOf(chosen)}`);
    if (this.lost) parts.push(words.lostHint);
    if (message.file && this.status !== "running") parts.push(`${words.record}: output/${message.file}`);
    if (message.created && this.status !== "running") parts.push(words.begun(this.when(message.created)));
    say(this.readout, parts.join(" · "));
  }

  /** A moment in the words of the editor's language; the run may be of another day. */
  when(moment) {
    const style = { dateStyle: "medium", timeStyle: "short" };
    return new Date(moment).toLocaleString(this.words.language, style);
  }

  pointAt(svg, event) {
    const { message, plot, words } = this;
    if (!message || !plot) return;
    let row = null;
    let place = 0;
    if (event) {
      const box = svg.getBoundingClientRect(); // the canvas may be zoomed: back to the plot's own pixels
      const wanted = plot.axis.step(((event.clientX - box.left) / box.width) * svg.clientWidth);
      row = message.rows.reduce(
        (best, next) => (best && Math.abs(best.step - wanted) <= Math.abs(next.step - wanted) ? best : next),
        null,
      );
      place = ((event.clientY - box.top) / box.height) * svg.clientHeight;
    }
    for (const each of [this.residuals, this.distances]) {
      drawPointer(each, plot.axis, each.clientHeight, row ? row.step : null);
    }
    this.hint = "";
    // No shorter than it was: the plot under the pointer must not move.
    this.readout.style.minHeight = event ? `${this.readout.offsetHeight}px` : "";
    if (row) {
      const where = `${words.step(row.step + 1, message.steps)}, ${words.sigma} ${short(row.sigma)}`;
      if (svg === this.distances) {
        this.hint = `${where}: ${words.distance} ${short(row.pairwise_distance)}`;
      } else {
        const near = this.nearest(row, place);
        if (near) this.hint = `${where}: ${this.sentenceOf(near)}`;
      }
    }
    this.showReadout();
  }

  /** The particle whose line is nearest to this height at this step. */
  nearest(row, place) {
    const candidates = particlesOf(this.message)
      .map(({ name, points }) => ({ name, reason: null, ...points.find((point) => point.step === row.step) }))
      .filter((candidate) => candidate.residual !== undefined && candidate.residual !== null);
    const gap = (candidate) => Math.abs(this.plot.y(candidate.residual) - place);
    return candidates.sort((one, other) => gap(one) - gap(other))[0];
  }

  /** The same facts for those who do not see the picture, and, with all digits, for programs and tests. */
  expose() {
    const { message, words } = this;
    const { reached, current } = phasesOf(message);
    const last = message.rows.at(-1);
    Object.assign(this.element.dataset, {
      status: this.status,
      phases: reached.join(" "),
      phase: current ?? "",
      step: last ? String(last.step) : "",
      steps: String(message.steps),
      blind: String(this.blind ?? ""),
      noiseFloor: String(message.noise_floor ?? ""),
      distance: String(last?.pairwise_distance ?? ""),
      file: message.file ?? "",
    });
    const parts = [this.progress.textContent];
    if (current && !this.lost) parts.push(words.phases[current]);
    for (const particle of particlesOf(message)) {
      parts.push(this.sentenceOf(particle) + (particle.name === this.blind ? ` (${words.blind})` : ""));
    }
    this.element.setAttribute("aria-label", words.summary(parts.join("; ")));
  }
}
