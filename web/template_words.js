// Templates in the editor's language: group titles, node titles, labels and notes of the pack's templates and blueprints
// are exchanged while a workflow is opened. The words are in locales/<language>/main.json, keyed by the English text, so
// a text that somebody has changed stays as it is.

import { app } from "../../scripts/app.js";
import { wordsOf } from "./words/locale.js";

const PACK = "SamplerLab";

let words = {};

const graphsOf = (workflow) => [workflow, ...(workflow.definitions?.subgraphs ?? [])];

const isOurs = (workflow) =>
  graphsOf(workflow).some((graph) => graph.nodes?.some((node) => String(node.type).startsWith(PACK)));

const said = (text) => (Object.hasOwn(words, text) ? words[text] : text);

function translate(graph) {
  for (const group of graph.groups ?? []) group.title = said(group.title);
  for (const node of graph.nodes ?? []) {
    if (node.title) node.title = said(node.title);
    for (const input of node.inputs ?? []) if (input.label) input.label = said(input.label);
    if (node.type === "MarkdownNote" && Array.isArray(node.widgets_values)) {
      node.widgets_values = node.widgets_values.map((value) => (typeof value === "string" ? said(value) : value));
    }
  }
}

app.registerExtension({
  name: "samplerlab.TemplateWords",
  async init() {
    words = await wordsOf("templates");
  },
  beforeConfigureGraph(workflow) {
    if (isOurs(workflow)) graphsOf(workflow).forEach(translate);
  },
});
