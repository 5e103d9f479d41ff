// Inputs of an earlier release, which graphs that were saved with it still have (nodes/former_inputs.py). A fresh node
// does not show them; a graph that uses one shows that one, so that nothing works unseen.

import { app } from "../../scripts/app.js";

const KEY = "sampler_lab_former";

/** The former inputs that a node's schema declares: { name: the value with which it says nothing }. */
function formerInputs(nodeData) {
  const found = {};
  for (const group of [nodeData.input?.required, nodeData.input?.optional]) {
    for (const [name, spec] of Object.entries(group ?? {})) {
      if (spec?.[1] && KEY in spec[1]) found[name] = spec[1][KEY];
    }
  }
  return found;
}

const isLinked = (node, name) => node.inputs?.some((slot) => slot.name === name && slot.link != null);

/** Hide every former widget that says nothing and is not linked; show the others. */
function hideWidgets(node, former) {
  for (const widget of node.widgets ?? []) {
    if (!(widget.name in former)) continue;
    const hidden = widget.value === former[widget.name] && !isLinked(node, widget.name);
    widget.hidden = hidden;
    widget.options = { ...widget.options, hidden };
  }
}

/** Take away every former socket that nothing is connected to; a graph that is loaded brings its own back. */
function removeSockets(node, former) {
  const isWidget = (slot) => slot.widget != null;
  for (let k = (node.inputs?.length ?? 0) - 1; k >= 0; k--) {
    const slot = node.inputs[k];
    if (slot.name in former && !isWidget(slot) && slot.link == null) node.removeInput(k);
  }
}

/** Of each type of node that has any. */
const formerOf = new Map();

app.registerExtension({
  name: "samplerlab.FormerInputs",
  beforeRegisterNodeDef(nodeType, nodeData) {
    const former = formerInputs(nodeData);
    if (Object.keys(former).length === 0) return;
    formerOf.set(nodeData.name, former);
    const { onNodeCreated, onConfigure } = nodeType.prototype;
    nodeType.prototype.onNodeCreated = function () {
      const result = onNodeCreated?.apply(this, arguments);
      hideWidgets(this, former);
      // While a graph is loaded its links are made after the node, by the places of the sockets.
      if (!app.configuringGraph) {
        removeSockets(this, former);
        this.setSize?.([this.size[0], this.computeSize()[1]]);
      }
      return result;
    };
    nodeType.prototype.onConfigure = function () {
      const result = onConfigure?.apply(this, arguments);
      hideWidgets(this, former);
      return result;
    };
  },
  afterConfigureGraph() {
    for (const node of app.graph?.nodes ?? []) {
      const former = formerOf.get(node.comfyClass);
      if (former) removeSockets(node, former);
    }
  },
});
