// Shows the tables of Compare To Reference and Load Runs on their nodes. They send a report as Markdown ("ui.text"),
// which the editor shows only for its own nodes. Everything is put into the page as text, never as HTML.

import { app } from "../../scripts/app.js";
import { wordsOf } from "./reports/words.js";

const NODES = ["SamplerLabCompareToReference", "SamplerLabLoadRuns"];
const WIDGET = "quality_report";
const WIDTH = 760;

function cellsOf(line) {
  return line.split("|").slice(1, -1).map((cell) => cell.trim());
}

function withBold(element, text) {
  text.split("**").forEach((part, k) => {
    const piece = document.createElement(k % 2 ? "b" : "span");
    piece.textContent = part;
    element.append(piece);
  });
  return element;
}

function tableOf(lines, words) {
  const table = document.createElement("table");
  table.style.cssText = "border-collapse:collapse;margin:6px 0;white-space:nowrap";
  lines.forEach((line, row) => {
    const cells = cellsOf(line);
    if (cells.every((cell) => /^-+$/.test(cell))) return;
    const tr = table.insertRow();
    for (const cell of cells) {
      const td = document.createElement(row ? "td" : "th");
      td.textContent = words.cell(cell);
      td.style.cssText = "padding:2px 8px;text-align:right;border-bottom:1px solid var(--border-color,#555)";
      tr.append(td);
    }
  });
  return table;
}

function render(element, report, words) {
  element.replaceChildren();
  let rows = [];
  for (const line of [...report.split("\n"), ""]) {
    if (line.startsWith("|")) {
      rows.push(line);
      continue;
    }
    if (rows.length) element.append(tableOf(rows, words));
    rows = [];
    if (line) element.append(withBold(document.createElement("div"), words.line(line)));
  }
}

function widgetOf(node) {
  const existing = node.widgets?.find((widget) => widget.name === WIDGET);
  if (existing) return existing;
  const element = document.createElement("div");
  element.className = "sampler-lab-report";
  element.style.cssText = "position:relative;min-height:160px;background:var(--comfy-input-bg,#222);border-radius:4px";
  // A report of many runs scrolls within its node: what it holds must not make the node grow over its neighbours.
  const page = document.createElement("div");
  page.style.cssText =
    "position:absolute;inset:0;overflow:auto;padding:6px;font-size:12px;line-height:1.4;" +
    "color:var(--input-text,#ddd);user-select:text";
  element.append(page);
  const widget = node.addDOMWidget(WIDGET, "sampler_lab_report", element, {
    serialize: false,
    hideOnZoom: false,
    getMinHeight: () => 160,
  });
  widget.serialize = false;
  const [width, height] = node.computeSize();
  node.setSize([Math.max(node.size[0], WIDTH, width), Math.max(node.size[1], height)]);
  return widget;
}

function show(node, output) {
  const report = output?.text;
  if (!report) return;
  const words = wordsOf(app.extensionManager?.setting?.get?.("Comfy.Locale"));
  render(widgetOf(node).element.firstChild, Array.isArray(report) ? report.join("\n") : String(report), words);
  node.setDirtyCanvas?.(true, true);
}

app.registerExtension({
  name: "samplerlab.Reports",
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (!NODES.includes(nodeData.name)) return;
    const before = nodeType.prototype.onExecuted;
    nodeType.prototype.onExecuted = function (output) {
      before?.apply(this, arguments);
      show(this, output);
    };
  },
  // Results that the editor restores, for example when a run is opened from the queue's history.
  onNodeOutputsUpdated(outputs) {
    for (const [id, output] of Object.entries(outputs ?? {})) {
      const node = app.graph?.getNodeById?.(id);
      if (NODES.includes(node?.comfyClass)) show(node, output);
    }
  },
});
