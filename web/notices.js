// Shows what a node has to say that is not an error (host/notices.py): a label above the node, and a toast once.
// The labels lie over the canvas and follow the nodes, so they look the same with classic nodes and with Vue nodes, and
// nothing of them is in the node or in the workflow that is saved; the browser keeps them (notices/kept.js).

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { keepNotices, keptNotices } from "./notices/kept.js";
import { NoticeStore, checkedNotice } from "./notices/store.js";
import { language, said, wordsOf } from "./words/locale.js";

const EVENT = "sampler_lab.notice";
const KEY = "sampler_lab_notices";
const TITLE_HEIGHT = 30;
const TOAST_MILLISECONDS = 15_000;
// On the elements themselves: the page is everybody's, and a style sheet in it could meet another pack's.
const STYLES = {
  layer: "position:absolute;inset:0;overflow:hidden;pointer-events:none;z-index:15",
  box: "position:absolute;left:0;top:0;transform-origin:0 0;display:grid;gap:4px",
  label:
    "position:relative;box-sizing:border-box;display:flex;gap:6px;align-items:flex-start;padding:6px 8px;" +
    "border-radius:6px;border:1px solid;font:12px/1.4 sans-serif;box-shadow:0 2px 8px #0006;",
  warn: "background:#4a3405;border-color:#e0a100;color:#ffe9b0",
  info: "background:#12324e;border-color:#4a9be0;color:#d5eaff",
  text: "flex:1;overflow-wrap:anywhere",
  button: "pointer-events:auto;cursor:pointer;border:0;padding:0 2px;background:none;color:inherit;font:inherit",
};
const DISMISS = { en: "Dismiss", ko: "닫기" };

const store = new NoticeStore(keepNotices);
const labels = new Map(); // node id -> the element with its notices
let layer = null;
let frame = 0;
let words = {}; // the notices' patterns in the editor's language
let spoken = "en";

const root = () => app.rootGraph ?? app.graph?.rootGraph ?? app.graph;

/** Say everything in the editor's language, from the beginning or once it has changed. */
async function speak() {
  if (spoken === language()) return;
  spoken = language();
  words = await wordsOf("notices");
  redraw();
}

/** The node of the graph on the screen that stands for this id: within subgraphs ids are paths such as "12:5". */
function shownNode(id) {
  const screen = app.canvas?.graph;
  let graph = root();
  for (const part of id.split(":")) {
    const node = graph?.getNodeById?.(part) ?? graph?.getNodeById?.(Number(part));
    if (!node) return null;
    if (graph === screen) return node;
    graph = node.subgraph;
  }
  return null;
}

function makeLayer() {
  if (layer?.isConnected) return layer;
  layer = document.createElement("div");
  layer.className = "sampler-lab-notices";
  layer.style.cssText = STYLES.layer;
  app.canvas.canvas.parentElement.append(layer);
  return layer;
}

function labelOf(notices) {
  const box = document.createElement("div");
  box.style.cssText = STYLES.box;
  for (const notice of notices) {
    const label = document.createElement("div");
    label.className = `sampler-lab-notice ${notice.severity}`;
    label.style.cssText = STYLES.label + STYLES[notice.severity];
    label.setAttribute("role", "status");
    label.dataset.node = notice.node;
    const sign = document.createElement("b");
    sign.textContent = notice.severity === "warn" ? "⚠" : "ℹ";
    const text = document.createElement("span");
    text.style.cssText = STYLES.text;
    text.textContent = said(notice, words);
    const close = document.createElement("button");
    close.style.cssText = STYLES.button;
    close.textContent = "✕";
    close.title = DISMISS[spoken] ?? DISMISS.en;
    close.setAttribute("aria-label", close.title);
    close.addEventListener("click", () => {
      store.dismiss(notice);
      redraw();
    });
    label.append(sign, text, close);
    box.append(label);
  }
  return box;
}

/** Every node's notices anew, and then in place as long as there are any. */
function redraw() {
  speak();
  for (const box of labels.values()) box.remove();
  labels.clear();
  for (const [id, notices] of store.byNode(root()?.id)) {
    const box = labelOf(notices);
    makeLayer().append(box);
    labels.set(id, box);
  }
  if (labels.size && !frame) follow();
}

/** Puts each label above its node, in the canvas' own scale. */
function follow() {
  frame = labels.size ? requestAnimationFrame(follow) : 0;
  const { ds } = app.canvas;
  for (const [id, box] of labels) {
    const node = shownNode(id);
    box.style.display = node ? "grid" : "none";
    if (!node) continue;
    const x = (node.pos[0] + ds.offset[0]) * ds.scale;
    const y = (node.pos[1] - TITLE_HEIGHT - 6 + ds.offset[1]) * ds.scale;
    box.style.width = `${Math.max(node.size[0], 220)}px`;
    box.style.transform = `translate(${x}px, ${y}px) scale(${ds.scale}) translate(0, -100%)`;
  }
}

function say(notice) {
  const isNew = store.add(notice);
  redraw();
  if (!isNew) return;
  const title = shownNode(notice.node)?.title;
  app.extensionManager?.toast?.add?.({
    severity: notice.severity,
    summary: title ? `Sampler Lab: ${title}` : "Sampler Lab",
    detail: said(notice, words),
    life: TOAST_MILLISECONDS,
  });
}

/** What a node's result says, also one from the host's cache or from the history: all of it, or that there is none. */
function showResult(id, output) {
  const found = output?.[KEY];
  if (!Array.isArray(found)) return;
  store.begin(id);
  const notices = found.map((each) => checkedNotice({ ...each, node: id, source: id, workflow_id: root()?.id }));
  for (const notice of notices) if (notice) say(notice);
  redraw();
}

api.addEventListener(EVENT, ({ detail }) => {
  const notice = checkedNotice(detail);
  if (notice) say(notice);
});
api.addEventListener("executing", ({ detail }) => {
  const id = typeof detail === "object" ? (detail?.display_node ?? detail?.node) : detail;
  if (id === null || id === undefined) return;
  store.begin(String(id));
  redraw();
});
api.addEventListener("executed", ({ detail }) => showResult(String(detail.display_node ?? detail.node), detail.output));

app.registerExtension({
  name: "samplerlab.notices",
  init: speak,
  afterConfigureGraph() {
    const workflow = root()?.id;
    store.recall(keptNotices(workflow));
    redraw();
  },
  onNodeOutputsUpdated(outputs) {
    for (const [id, output] of Object.entries(outputs ?? {})) showResult(id, output);
  },
});
