// The pack's own words in the editor's language: sections of locales/<language>/main.json under "samplerLab", keyed by the
// English text. English needs none.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";

const ENGLISH = "en";

let catalogues = null; // language -> section -> words; asked for once, when a language other than English is wanted

export const language = () => String(app.extensionManager?.setting?.get?.("Comfy.Locale") ?? ENGLISH).split("-")[0];

async function fetched() {
  try {
    const answer = await api.fetchApi("/i18n");
    const all = answer.ok ? await answer.json() : {};
    return Object.fromEntries(Object.entries(all).map(([name, words]) => [name, words.samplerLab ?? {}]));
  } catch (error) {
    console.info("Sampler Lab: there are no words in other languages:", error);
    return {};
  }
}

/** What there is for the editor's language in this section: English text to the other one; {} for English. */
export async function wordsOf(section) {
  if (language() === ENGLISH) return {};
  catalogues ??= fetched();
  return (await catalogues)[language()]?.[section] ?? {};
}

/** A sentence (sentence.py) said with these words: in English when they lack it. */
export function said({ text, pattern, values }, words) {
  if (!pattern || !Object.hasOwn(words, pattern)) return text;
  return words[pattern].replace(/\{(\w+)\}/g, (whole, name) => (Object.hasOwn(values, name) ? values[name] : whole));
}
