// The latest run of each node, kept in this browser: it outlives a reload, the browser's end and the server's. It is no
// part of the workflow, so nothing of a run is saved, pasted, undone or put into a picture.

import { isOwnId } from "../words/workflow.js";

const DATABASE = "sampler_lab";
const RUNS = "runs";
const MOST_RUNS = 64;

/** What this page has heard itself; also all there is where the browser forbids a database (a private window). */
const heard = new Map();
let opened = null;

const keyOf = (message) => `${message.workflow_id}/${message.node}`;

const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

function database() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(RUNS, { keyPath: "key" }).createIndex("at", "at");
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

const runs = async (mode) => (await database()).transaction(RUNS, mode).objectStore(RUNS);

async function write(key, message) {
  const store = await runs("readwrite");
  await done(store.put({ key, at: Date.now(), message }));
  const old = (await done(store.index("at").getAllKeys())).slice(0, -MOST_RUNS);
  await Promise.all(old.map((each) => done(store.delete(each))));
}

/** Remember ``message`` as its node's latest run; on disk as well if ``lasting``. */
export async function keepRun(message, lasting = true) {
  if (!isOwnId(message.workflow_id)) return; // a prompt from elsewhere: node ids say nothing about a workflow
  const key = keyOf(message);
  heard.set(key, message);
  try {
    if (lasting) await write(key, message);
  } catch (error) {
    console.info("Sampler Lab: this browser does not keep the run over a reload:", error);
  }
}

/** The latest runs of a workflow's nodes, as they were kept: not checked. */
export async function keptRuns(workflowId) {
  const found = new Map();
  try {
    const store = await runs("readonly");
    const range = IDBKeyRange.bound(`${workflowId}/`, `${workflowId}/\uffff`);
    for (const { key, message } of await done(store.getAll(range))) found.set(key, message);
  } catch (error) {
    console.info("Sampler Lab: this browser keeps no runs:", error);
  }
  for (const [key, message] of heard) if (key.startsWith(`${workflowId}/`)) found.set(key, message);
  return [...found.values()];
}
