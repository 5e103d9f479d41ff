// Templates in the editor's language: group titles, node titles and notes of the pack's templates and blueprints are
// exchanged while a workflow is opened. The words are in locales/<language>/main.json, keyed by the English text, so a
// text that somebody has changed stays as it is.

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

const PACK = "SamplerLab";
const ENGLISH = "en";

let words = {};

const language = () => String(app.extensionManager?.setting?.get?.("Comfy.Locale") ?? ENGLISH).split("-")[0];

async function wordsOf(locale) {
  if (locale === ENGLISH) return {};
  const answer = await api.fetchApi("/i18n");
  const all = answer.ok ? await answer.json() : {};
  return all[locale]?.samplerLab?.templates ?? {};
}

const graphsOf = (workflow) => [workflow, ...(workflow.definitions?.subgraphs ?? [])];

const isOurs = (workflow) =>
  graphsOf(workflow).some((graph) => graph.nodes?.some((node) => String(node.type).startsWith(PACK)));

const said = (text) => (Object.hasOwn(words, text) ? words[text] : text);

function translate(graph) {
  for (const group of graph.groups ?? []) group.title = said(group.title);
  for (const node of graph.nodes ?? []) {
    if (node.title) node.title = said(node.title);
    if (node.type === "MarkdownNote" && Array.isArray(node.widgets_values)) {
      node.widgets_values = node.widgets_values.map((value) => (typeof value === "string" ? said(value) : value));
    }
  }
}

app.registerExtension({
  name: "samplerlab.TemplateWords",
  async init() {
    words = await wordsOf(language());
  },
  beforeConfigureGraph(workflow) {
    if (isOurs(workflow)) graphsOf(workflow).forEach(translate);
  },
});
