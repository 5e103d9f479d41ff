// Inputs of an earlier release, which graphs that were saved with it still have (nodes/former_inputs.py). A fresh node
// does not show them; a graph that uses one shows that one, so that nothing works unseen.

import { app } from "../../scripts/app.js";

const KEY = "sampler_lab_former";

/** The former inputs of a node's schema: { name: { type, silent: the value with which a widget says nothing } }. */
function formerInputs(nodeData) {
  const specs = Object.entries({ ...nodeData.input?.required, ...nodeData.input?.optional });
  const former = specs.filter(([, spec]) => spec?.[1]?.[KEY]);
  return Object.fromEntries(former.map(([name, [type, said]]) => [name, { type, ...said[KEY] }]));
}

const isLinked = (node, name) => node.inputs?.some((slot) => slot.name === name && slot.link != null);

const counts = (node, widget, former) => widget.value !== former[widget.name].silent || isLinked(node, widget.name);

const widgetsOf = (node, former) => (node.widgets ?? []).filter((widget) => widget.name in former);

/** One that counts is not among the advanced inputs either, which the editor may have folded away. */
function show(widget, shown) {
  widget.hidden = !shown;
  Object.assign(widget.options, { hidden: !shown, advanced: !shown }); // in place: the page-based renderer keeps it
}

function hideThoseThatSayNothing(node, former) {
  for (const widget of widgetsOf(node, former)) show(widget, counts(node, widget, former));
}

/** Of those that are hidden; one that is shown stays, so that nothing vanishes under the user's hand. */
function showThoseThatCount(node, former) {
  const found = widgetsOf(node, former).filter((widget) => widget.hidden && counts(node, widget, former));
  for (const widget of found) show(widget, true);
  if (found.length === 0) return;
  const [width, least] = node.computeSize();
  if (node.size[1] < least) node.setSize([Math.max(node.size[0], width), least]);
}

/** Take away every former socket that nothing is connected to; the others take what they take today. */
function removeSockets(node, former) {
  for (let k = (node.inputs?.length ?? 0) - 1; k >= 0; k--) {
    const slot = node.inputs[k];
    if (!(slot.name in former) || slot.widget) continue;
    if (slot.link == null) node.removeInput(k);
    else slot.type = former[slot.name].type;
  }
}

/** A prompt that is opened as a graph tells widgets by their callbacks alone. */
function watch(node, former) {
  for (const widget of widgetsOf(node, former)) {
    const before = widget.callback;
    widget.callback = function () {
      const result = before?.apply(this, arguments);
      showThoseThatCount(node, former);
      return result;
    };
  }
}

app.registerExtension({
  name: "samplerlab.FormerInputs",
  beforeRegisterNodeDef(nodeType, nodeData) {
    const former = formerInputs(nodeData);
    if (Object.keys(former).length === 0) return;
    const { onNodeCreated, onConfigure, onConnectionsChange } = nodeType.prototype;
    nodeType.prototype.onNodeCreated = function () {
      const result = onNodeCreated?.apply(this, arguments);
      // A graph that has a former socket brings it along; the editor puts it behind the others.
      removeSockets(this, former);
      hideThoseThatSayNothing(this, former);
      watch(this, former);
      this.setSize?.([this.size[0], this.computeSize()[1]]);
      return result;
    };
    nodeType.prototype.onConfigure = function () {
      const result = onConfigure?.apply(this, arguments);
      hideThoseThatSayNothing(this, former);
      if (app.configuringGraph) removeSockets(this, former);
      else setTimeout(() => removeSockets(this, former)); // a pasted node is linked after this
      return result;
    };
    nodeType.prototype.onConnectionsChange = function () {
      const result = onConnectionsChange?.apply(this, arguments);
      showThoseThatCount(this, former);
      return result;
    };
  },
});
