// A run read from its record on the server (metrics.json), for an editor that was closed or reloaded meanwhile.

import { api } from "../../../scripts/api.js";

const OF_EVERY_STEP = ["step", "sigma", "phase", "particles", "residual", "pairwise_distance"];
const KEPT = [...OF_EVERY_STEP, "repulsion", "pruning", "polish", "off_decoder", "choice"];

const pick = (row) => Object.fromEntries(KEPT.filter((key) => row[key]).map((key) => [key, row[key]]));

/** Whether the prompt of this message is still going on; true when nothing is known, for the next message will tell. */
export async function isRunning(message) {
  try {
    const queue = await (await api.fetchApi("/queue")).json();
    return queue.queue_running.some((item) => item[1] === message.prompt_id);
  } catch {
    return true;
  }
}

async function recordOf(file) {
  const cut = file.lastIndexOf("/");
  const where = { filename: file.slice(cut + 1), subfolder: file.slice(0, Math.max(0, cut)), type: "output" };
  const answer = await api.fetchApi(`/view?${new URLSearchParams(where)}`, { cache: "no-store" });
  return answer.ok ? answer.json() : null;
}

/** ``message`` brought up to what its record says by now; null when there is none, or not of this run. Not checked. */
export async function fromRecord(message) {
  if (!message.file) return null;
  try {
    const record = await recordOf(message.file);
    if (!record || record.prompt?.id !== message.prompt_id) return null;
    const rows = record.steps.map((row) => ({ step: row.step, ...pick(row) }));
    const entered = record.phases.map((phase) => phase.name);
    const now = { ...message, rows, entered, status: record.status, phase: null, seconds: record.wall_seconds };
    return record.final ? { ...now, final: record.final } : now;
  } catch {
    return null;
  }
}
