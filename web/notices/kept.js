// The notices of each workflow, kept in this browser: they stand again after a reload, also on the host's own nodes, of
// whose runs nothing else is left then. Kept beside the workflow, as its runs are (live/store.js), and never within it.

import { isOwnId } from "../words/workflow.js";

const KEY = "sampler_lab.notices";
const MOST_WORKFLOWS = 64;

function all() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(kept) ? kept.filter(Array.isArray) : [];
  } catch {
    return []; // the browser forbids it (a private window), or somebody else wrote there
  }
}

/** What was kept of a workflow: not checked. */
export function keptNotices(workflow) {
  if (!isOwnId(workflow)) return [];
  const found = all().find(([id]) => id === workflow);
  return Array.isArray(found?.[1]) ? found[1] : [];
}

/** Keep these as all there is of a workflow; the workflows that were kept first are forgotten first. */
export function keepNotices(workflow, notices) {
  if (!isOwnId(workflow)) return;
  const others = all().filter(([id]) => id !== workflow);
  const kept = notices.length ? [...others, [workflow, notices]] : others;
  try {
    localStorage.setItem(KEY, JSON.stringify(kept.slice(-MOST_WORKFLOWS)));
  } catch (error) {
    console.info("Sampler Lab: this browser does not keep notices over a reload:", error);
  }
}
