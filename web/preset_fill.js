// Presets that are seen. A node whose schema says what its presets set (nodes/presets.py) has these numbers filled into
// its widgets when a preset is chosen, and its preset turned to "custom" when one of them is changed by hand or linked.
// So nothing is shown that does not count. What a prompt means is the node's business, not this script's.

import { app } from "../../scripts/app.js";

const KEY = "sampler_lab_presets";

/** Nodes whose preset was chosen a moment ago. */
const choosing = new WeakSet();

/** The preset's input and what is declared of it: { name, custom, values: { preset: { input: value } } }, or null. */
function declared(nodeData) {
  for (const group of [nodeData.input?.required, nodeData.input?.optional]) {
    for (const [name, spec] of Object.entries(group ?? {})) {
      const found = spec?.[1]?.[KEY];
      if (found) return { name, ...found };
    }
  }
  return null;
}

const widgetOf = (node, name) => node.widgets?.find((widget) => widget.name === name);

/** What the chosen preset sets; empty for the choice that sets nothing. */
const chosenValues = (node, presets) => presets.values[widgetOf(node, presets.name)?.value] ?? {};

/** Equal as a person would say: a number that went through a widget's rounding is still the preset's. */
const isSame = (one, other) =>
  typeof one === "number" && typeof other === "number"
    ? Math.abs(one - other) <= 1e-9 * Math.max(Math.abs(one), Math.abs(other))
    : one === other;

/** Put the numbers of the preset that is chosen into the widgets; they are the node's own, so no callback is told. */
function fill(node, presets) {
  for (const [name, value] of Object.entries(chosenValues(node, presets))) {
    const widget = widgetOf(node, name);
    if (widget && !isSame(widget.value, value)) widget.value = value;
  }
  node.setDirtyCanvas?.(true, true);
}

/** One of the numbers is no longer the preset's: say so. */
function depart(node, presets) {
  const preset = widgetOf(node, presets.name);
  if (!preset || preset.value === presets.custom) return;
  preset.value = presets.custom;
  node.setDirtyCanvas?.(true, true);
}

const covers = (presets, name) => Object.values(presets.values).some((values) => name in values);

/** Calls ``then(value)`` whenever the user changes this widget; what was called before is called first. */
function whenChanged(widget, then) {
  const before = widget.callback;
  widget.callback = function (value) {
    const result = before?.apply(this, arguments);
    then(value);
    return result;
  };
}

/** Digits after the point with which ``value`` has three that count. */
function digitsOf(value) {
  for (let digits = 0; digits < 12; digits++) {
    if (Math.abs(Number(value.toFixed(digits)) - value) <= 5e-4 * Math.abs(value)) return digits;
  }
  return 12;
}

/** The editor shows and rounds a number by its widget's step; a preset's number is often finer than a good step. */
function showDigits(widget, presets) {
  const { precision } = widget.options ?? {};
  const numbers = Object.values(presets.values).map((values) => values[widget.name]);
  if (!precision || numbers.some((value) => typeof value !== "number")) return;
  const digits = Math.max(precision, ...numbers.map(digitsOf));
  Object.assign(widget.options, { precision: digits, round: 10 ** -digits }); // in place: the page-based renderer keeps it
}

const isLinked = (node, name) => node.inputs?.some((slot) => slot.name === name && slot.link != null);

/** A preset was chosen. Who loads a prompt chooses it, too, and writes the other numbers of the prompt at once after. */
function choose(node, presets) {
  if (Object.keys(chosenValues(node, presets)).some((name) => isLinked(node, name))) {
    return depart(node, presets); // a link counts, and is not undone for a preset
  }
  choosing.add(node);
  fill(node, presets);
  setTimeout(() => choosing.delete(node));
}

/** Equal in the digits that the widget shows: the editor writes them back when a person only looks into it. */
function looksSame(widget, one, other) {
  const { precision } = widget.options ?? {};
  return typeof one === "number" && precision !== undefined && one.toFixed(precision) === other.toFixed(precision);
}

function change(node, presets, widget, value) {
  const values = chosenValues(node, presets);
  const { name } = widget;
  if (!(name in values) || isSame(value, values[name])) return;
  if (choosing.has(node)) fill(node, presets);
  else if (looksSame(widget, value, values[name])) widget.value = values[name];
  else depart(node, presets);
}

/** What goes into the prompt: a number that was set without a callback (by a subgraph's own widget, a script) counts. */
function asSent(node, presets) {
  const values = Object.entries(chosenValues(node, presets));
  const departs = ([name, value]) => !isLinked(node, name) && !isSame(widgetOf(node, name)?.value ?? value, value);
  if (values.some(departs)) depart(node, presets);
  return widgetOf(node, presets.name).value;
}

function watch(node, presets) {
  for (const widget of node.widgets ?? []) {
    if (widget.name === presets.name) {
      whenChanged(widget, () => choose(node, presets));
      widget.serializeValue = () => asSent(node, presets);
    } else if (covers(presets, widget.name)) {
      showDigits(widget, presets);
      whenChanged(widget, (value) => change(node, presets, widget, value));
    }
  }
}

app.registerExtension({
  name: "samplerlab.PresetFill",
  beforeRegisterNodeDef(nodeType, nodeData) {
    const presets = declared(nodeData);
    if (!presets) return;
    const { onNodeCreated, onConfigure, onConnectionsChange } = nodeType.prototype;
    nodeType.prototype.onNodeCreated = function () {
      const result = onNodeCreated?.apply(this, arguments);
      watch(this, presets);
      fill(this, presets);
      return result;
    };
    nodeType.prototype.onConfigure = function () {
      const result = onConfigure?.apply(this, arguments);
      // A graph of before, in which a preset's name stood over numbers that did not count: now its numbers are shown.
      fill(this, presets);
      return result;
    };
    nodeType.prototype.onConnectionsChange = function (side, slot, connected) {
      const result = onConnectionsChange?.apply(this, arguments);
      const byHand = side === LiteGraph.INPUT && connected && !app.configuringGraph;
      if (byHand && this.inputs?.[slot]?.name in chosenValues(this, presets)) depart(this, presets);
      return result;
    };
  },
});
