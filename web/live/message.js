// What one run looks like in a message (host/live_view.py), in the browser's store and in a workflow of release 0.1.0.
// A workflow may come from anybody: what is not of this shape is not drawn.

const STATUSES = ["running", "finished", "cancelled", "failed"];
const PICTURE = /^data:image\/jpeg;base64,[A-Za-z0-9+/]+=*$/;
const MOST_PARTICLES = 4096;
const MOST_ROWS = 100_000;

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const isName = (value) => Number.isInteger(value) && value >= 0;
const isNumberOrNull = (value) => value === null || Number.isFinite(value);
const isText = (value) => typeof value === "string" && value.length < 1000;
const orMissing = (check) => (value) => value === undefined || value === null || check(value);
const listOf = (check, most = MOST_PARTICLES) => (value) =>
  Array.isArray(value) && value.length <= most && value.every(check);
const has = (checks) => (value) =>
  isObject(value) && Object.entries(checks).every(([key, check]) => check(value[key]));

/** Names of particles, and one residual (null: not finite) for each. */
const isState = (value) =>
  has({ particles: listOf(isName), residual: listOf(isNumberOrNull) })(value) &&
  value.particles.length === value.residual.length;

const isPruning = has({
  kept: listOf(isName),
  dropped: listOf(has({ particle: isName, reason: isText })),
  new: orMissing(listOf(has({ particle: isName, parent: isName }))),
});

/** By what the run itself chose, one number for each: the smallest score. */
const isChoice = (value) =>
  has({ particles: listOf(isName), score: listOf(isNumberOrNull), prior_error: listOf(isNumberOrNull) })(value) &&
  [value.score, value.prior_error].every((numbers) => numbers.length === value.particles.length);

const isRow = (value) =>
  isState(value) &&
  has({
    step: isName,
    phase: orMissing(isText),
    sigma: orMissing(Number.isFinite),
    pairwise_distance: orMissing(Number.isFinite),
    repulsion: orMissing(Number.isFinite),
    pruning: orMissing(isPruning),
    polish: orMissing(isState),
    off_decoder: orMissing(isState),
    choice: orMissing(isChoice),
  })(value);

const isMessage = has({
  node: isText,
  status: (value) => STATUSES.includes(value),
  steps: isName,
  count: isName,
  phase: orMissing(isText),
  planned: orMissing(listOf(isText)),
  entered: orMissing(listOf(isText)),
  workflow_id: orMissing(isText),
  prompt_id: orMissing(isText),
  noise_floor: orMissing(Number.isFinite),
  final: orMissing((value) => isState(value) && orMissing(isName)(value.blind)),
  seconds: orMissing(Number.isFinite),
  file: orMissing(isText),
  created: orMissing((value) => isText(value) && !Number.isNaN(Date.parse(value))),
  rows: listOf(isRow, MOST_ROWS),
  thumbnails: (value) => isObject(value) && Object.values(value).every((url) => PICTURE.test(url)),
});

/** The message itself when it has the right shape, else null. */
export function checkedMessage(value) {
  try {
    return isMessage(value) ? value : null;
  } catch {
    return null; // for example a getter that throws
  }
}

/** What a particle's residual was at the end of this row's step: these moves come after the data step. */
export function residualAfter(row, name) {
  const state = [row.off_decoder, row.polish].find((moved) => moved?.particles.includes(name)) ?? row;
  const place = state.particles.indexOf(name);
  return place < 0 ? null : state.residual[place];
}

/**
 * Every particle that ever was, in the order of their names: its last residual, why it was dropped, its parent, and,
 * where the run itself chose, its score and the model's part in it.
 */
export function particlesOf(message) {
  const particles = new Map();
  const known = (name) => {
    const unknown = { residual: null, reason: null, parent: null, score: null, doubt: null };
    if (!particles.has(name)) particles.set(name, { name, ...unknown, points: [] });
    return particles.get(name);
  };
  for (let name = 0; name < Math.min(message.count, MOST_PARTICLES); name++) known(name);
  for (const row of message.rows) {
    row.particles.forEach((name, place) => {
      const particle = known(name);
      particle.residual = residualAfter(row, name);
      particle.points.push({ step: row.step, chain: row.residual[place], residual: particle.residual });
    });
    for (const { particle, parent } of row.pruning?.new ?? []) known(particle).parent = parent;
    for (const { particle, reason } of row.pruning?.dropped ?? []) known(particle).reason = reason;
    row.choice?.particles.forEach((name, place) => {
      Object.assign(known(name), { score: row.choice.score[place], doubt: row.choice.prior_error[place] });
    });
  }
  // What the run returned was looked at once more, and its residuals are those that everybody knows.
  message.final?.particles.forEach((name, place) => {
    known(name).residual = message.final.residual[place];
  });
  return [...particles.values()].sort((one, other) => one.name - other.name);
}

/**
 * The particle that is chosen without the truth, null when none can be. The record says it when the run has ended; of a
 * run that goes on or was cut off it is the best of those that are left: by score if the run came to that, else by
 * residual.
 */
export function blindOf(message) {
  if (message.final) return message.final.blind ?? null;
  const left = particlesOf(message).filter(({ reason }) => reason === null);
  const mark = left.some(({ score }) => score !== null) ? "score" : "residual";
  const known = left.filter((particle) => particle[mark] !== null);
  return known.sort((one, other) => one[mark] - other[mark])[0]?.name ?? null;
}

const PHASES = ["explore", "prune", "refine", "fit", "polish", "off_decoder", "choose"];
const OF_A_STEP = ["explore", "refine"]; // the others are what moves and data steps do within one

/** What the rows alone tell, of a run of an earlier release. */
function enteredBy(rows) {
  const names = rows.map((row) => row.phase);
  if (rows.some((row) => row.pruning)) names.push("prune");
  if (rows.some((row) => row.polish)) names.push("polish");
  return names;
}

/** What a run is doing. */
function currentPhase({ phase, rows }, reached) {
  if (!phase) return reached.at(-1) ?? null; // a record does not say: the latest that it tells of
  // A step is reported when its chain has ended, before its hard consistency: the row before tells.
  return OF_A_STEP.includes(phase) && rows.slice(-2).some((row) => row.polish) ? "polish" : phase;
}

/**
 * The phases that have been reached, those that the run has in all (once it is over: no more than these), and the one
 * it is in now, null when it is over.
 */
export function phasesOf(message) {
  const entered = message.entered ?? enteredBy(message.rows);
  const inOrder = (names) => PHASES.filter((phase) => names.includes(phase));
  const reached = inOrder(entered);
  if (message.status !== "running") return { reached, all: reached, current: null };
  const current = currentPhase(message, reached);
  return { reached, all: inOrder([...entered, ...(message.planned ?? []), current]), current };
}
