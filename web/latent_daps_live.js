// Shows a run of LatentDAPS on its node: while it goes on, after it, and again with the saved workflow. Every message
// of the host (host/live_view.py) holds the whole picture; the last one is kept in the node's properties.

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { checkedMessage } from "./live/message.js";
import { RunView } from "./live/view.js";
import { wordsOf } from "./live/words.js";

const NODE = "SamplerLabLatentDAPS";
const EVENT = "sampler_lab.run";
const PROPERTY = "sampler_lab_run";
const WIDGET = "run";
const HEIGHT_AT_FIRST = 300;
const MOST_UNSEEN = 16;

/** Messages for workflows that are not open now, by workflow and node: shown when the workflow is opened again. */
const unseen = new Map();

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
  return node?.comfyClass === NODE ? node : null;
}

/** The editor's note of the workflow: a change that can be undone, and the draft that a reload brings back. */
function keep(finally_) {
  const tracker = app.extensionManager?.workflow?.activeWorkflow?.changeTracker;
  if (!finally_) {
    // In the middle of a run: the draft only, for nobody wants to undo the steps of a run.
    api.dispatchEvent(new CustomEvent("graphChanged", { detail: tracker?.activeState }));
  } else if (tracker?.captureCanvasState) {
    tracker.captureCanvasState();
  } else {
    tracker?.checkState?.(); // its name until 2026
  }
}

function fit(node, widget, height) {
  if (widget.neededHeight === height) return;
  widget.neededHeight = height;
  const [width, least] = node.computeSize();
  if (node.size[1] < least) node.setSize([Math.max(node.size[0], width), least]);
  node.setDirtyCanvas?.(true, true);
}

function widgetOf(node) {
  const existing = node.widgets?.find((widget) => widget.name === WIDGET);
  if (existing) return existing;
  const words = wordsOf(app.extensionManager?.setting?.get?.("Comfy.Locale"));
  let widget = null;
  const view = new RunView(words, (height) => fit(node, widget, height));
  widget = node.addDOMWidget(WIDGET, "sampler_lab_run", view.element, {
    serialize: false,
    hideOnZoom: false,
    getMinHeight: () => widget?.neededHeight ?? HEIGHT_AT_FIRST,
  });
  widget.serialize = false;
  widget.view = view;
  const removed = widget.onRemove;
  widget.onRemove = function () {
    view.remove();
    removed?.apply(this, arguments);
  };
  return widget;
}

function show(node, message) {
  const before = node.properties[PROPERTY];
  node.properties[PROPERTY] = message;
  const { view } = widgetOf(node);
  view.show(message);
  const over = message.status !== "running";
  const pruned = (run) => Boolean(run?.rows?.some?.((row) => row?.pruning));
  if (over || before?.prompt_id !== message.prompt_id || pruned(before) !== pruned(message)) keep(over);
}

/** A run that was going on when the workflow was left may have ended meanwhile, unseen. */
async function isRunning(message) {
  try {
    const queue = await (await api.fetchApi("/queue")).json();
    return queue.queue_running.some((item) => item[1] === message.prompt_id);
  } catch {
    return true; // nothing is known: the next message will tell
  }
}

/** Draws what the workflow brought along, if it is a run of this very node. */
async function restore(node) {
  const message = checkedMessage(node.properties?.[PROPERTY]);
  if (message?.node.split(":").at(-1) !== String(node.id)) return;
  const { view } = widgetOf(node);
  view.show(message);
  if (message.status === "running" && !(await isRunning(message)) && view.message === message) {
    view.show(message, true);
  }
}

api.addEventListener(EVENT, ({ detail }) => {
  const message = checkedMessage(detail);
  if (!message) return;
  const node = nodeOf(message);
  if (node) return show(node, message);
  const key = `${message.workflow_id}/${message.node}`;
  unseen.delete(key);
  unseen.set(key, message);
  if (unseen.size > MOST_UNSEEN) unseen.delete(unseen.keys().next().value);
});

app.registerExtension({
  name: "samplerlab.LatentDAPSLive",
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (nodeData.name !== NODE) return;
    const before = nodeType.prototype.onConfigure;
    nodeType.prototype.onConfigure = function () {
      before?.apply(this, arguments);
      restore(this);
    };
  },
  afterConfigureGraph() {
    for (const [key, message] of [...unseen]) {
      const node = message.workflow_id === root()?.id ? nodeOf(message) : null;
      if (!node) continue;
      unseen.delete(key);
      show(node, message);
    }
  },
});
