// Shows a posterior run on its node: while it goes on, after it, and again after a reload. Every message of the host
// (host/live_view.py) holds the whole picture; the last one is kept in the browser (live/store.js), beside the workflow.

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { checkedMessage } from "./live/message.js";
import { fromRecord, isRunning } from "./live/record.js";
import { keepRun, keptRuns } from "./live/store.js";
import { RunView } from "./live/view.js";
import { wordsOf } from "./live/words.js";

const NODES = ["SamplerLabLatentDAPS", "SamplerLabPhaseRetrievalSampler"];
const EVENT = "sampler_lab.run";
const OLD_PROPERTY = "sampler_lab_run"; // where release 0.1.0 kept it, within the workflow
const WIDGET = "run";
const HEIGHT_AT_FIRST = 300;
const LOOK_AGAIN = 5000; // milliseconds between two looks at the record of a run that nobody reports to this page

const root = () => app.rootGraph ?? app.graph?.rootGraph ?? app.graph;

/** The node of the open workflow that this message is for. Within subgraphs its id is a path such as "12:5". */
function nodeOf(message) {
  let graph = root();
  if (message.workflow_id && graph?.id && message.workflow_id !== graph.id) return null;
  let node = null;
  for (const id of message.node.split(":")) {
    node = graph?.getNodeById(id) ?? graph?.getNodeById(Number(id));
    graph = node?.subgraph;
  }
  return NODES.includes(node?.comfyClass) ? node : null;
}

/** Make room for the view. ``widget.room`` is by how much the node is taller for it: the workflow does not know it. */
function fit(node, widget, height) {
  if (widget.neededHeight === height) return;
  widget.neededHeight = height;
  widget.without ??= node.size[1] - widget.room;
  const measure = () => (widget.room = Math.max(0, node.size[1] - widget.without));
  const [width, least] = node.computeSize();
  if (node.size[1] < least) node.setSize([Math.max(node.size[0], width), least]);
  measure();
  // A node that is an element of the page grows by itself, a little later.
  cancelAnimationFrame(widget.settling);
  widget.settling = requestAnimationFrame(() => {
    widget.settling = requestAnimationFrame(() => {
      measure();
      widget.without = null; // from now on a change of height is the user's
    });
  });
  node.setDirtyCanvas?.(true, true);
}

/** What the canvas leaves free above and below an element; a node that is an element of the page leaves nothing. */
const margins = (widget) => (window.LiteGraph?.vueNodesMode ? 0 : 2 * (widget?.margin ?? 0));

const viewWidget = (node) => node.widgets?.find((widget) => widget.name === WIDGET);

function widgetOf(node) {
  const existing = viewWidget(node);
  if (existing) return existing;
  const words = wordsOf(app.extensionManager?.setting?.get?.("Comfy.Locale"));
  let widget = null;
  const height = node.size[1];
  const view = new RunView(words, (height) => fit(node, widget, height));
  widget = node.addDOMWidget(WIDGET, "sampler_lab_run", view.element, {
    serialize: false,
    hideOnZoom: false,
    getMinHeight: () => (widget?.neededHeight ?? HEIGHT_AT_FIRST) + margins(widget),
  });
  widget.serialize = false;
  widget.view = view;
  Object.assign(widget, { room: 0, without: height, settling: 0 });
  const removed = widget.onRemove;
  widget.onRemove = function () {
    cancelAnimationFrame(widget.settling);
    view.remove();
    removed?.apply(this, arguments);
  };
  return widget;
}

const prunings = (message) => message?.rows.filter((row) => row.pruning).length ?? 0;

/** News of the host: shown if its workflow is open, and kept in any case. */
function hear(message) {
  const node = nodeOf(message);
  const before = node && viewWidget(node)?.view.message;
  if (node) widgetOf(node).view.show(message);
  const first = before?.prompt_id !== message.prompt_id;
  keepRun(message, first || message.status !== "running" || prunings(before) !== prunings(message));
}

/** What was kept of a run. If it was going on then, its record says what has become of it. */
async function recall(node, message) {
  const { view } = widgetOf(node);
  view.show(message);
  while (view.message === message && message.status === "running") {
    const goesOn = await isRunning(message);
    const later = checkedMessage(await fromRecord(message));
    if (view.message !== message) return; // the host has told more, or the node is gone
    if (!goesOn && (later ?? message).status === "running") return view.show(later ?? message, true);
    if (later) {
      message = later;
      view.show(message);
      keepRun(message);
    }
    if (message.status === "running") await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN));
  }
}

/** A workflow of release 0.1.0 may carry its run: it is shown once more, and is no part of the workflow any longer. */
function takeOut(node) {
  const message = checkedMessage(node.properties?.[OLD_PROPERTY]);
  delete node.properties?.[OLD_PROPERTY];
  if (message?.node.split(":").at(-1) === String(node.id)) recall(node, message);
}

api.addEventListener(EVENT, ({ detail }) => {
  const message = checkedMessage(detail);
  if (message) hear(message);
});

app.registerExtension({
  name: "samplerlab.Live",
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (!NODES.includes(nodeData.name)) return;
    const { onConfigure, onSerialize } = nodeType.prototype;
    nodeType.prototype.onConfigure = function () {
      const result = onConfigure?.apply(this, arguments);
      takeOut(this);
      return result;
    };
    nodeType.prototype.onSerialize = function (saved) {
      const result = onSerialize?.apply(this, arguments);
      const room = viewWidget(this)?.room;
      if (room) saved.size = [saved.size[0], saved.size[1] - room];
      return result;
    };
  },
  async afterConfigureGraph() {
    const id = root()?.id;
    for (const message of await keptRuns(id)) {
      const checked = checkedMessage(message);
      const node = checked?.workflow_id === id && root()?.id === id ? nodeOf(checked) : null;
      if (node) recall(node, checked);
    }
  },
});
