// Which notices stand, and on which node. It knows nothing of the editor.

const SEVERITIES = ["info", "warn"];
const MOST_CHARACTERS = 2000;

const isText = (value) => typeof value === "string" && value.length > 0 && value.length <= MOST_CHARACTERS;
const isId = (value) => typeof value === "string" || value === null || value === undefined;

/** The notice itself when it has the right shape (host/notices.py), else null. */
export function checkedNotice(value) {
  if (typeof value !== "object" || value === null) return null;
  const { text, severity, node, source, workflow_id: workflow } = value;
  const right = isText(text) && SEVERITIES.includes(severity) && isText(node) && isText(source) && isId(workflow);
  return right ? { text, severity, node, source, workflow: workflow ?? null } : null;
}

export class NoticeStore {
  constructor() {
    this.notices = [];
    this.announced = new Set(); // what a toast has said: a notice that comes back is not announced again
  }

  /** Adds it; true when it has not been announced before. */
  add(notice) {
    if (!this.notices.some((each) => same(each, notice))) this.notices.push(notice);
    const key = JSON.stringify([notice.workflow, notice.node, notice.text]);
    if (this.announced.has(key)) return false;
    this.announced.add(key);
    return true;
  }

  /** The node begins to run: what its last run had to say is no longer true. */
  begin(source) {
    this.notices = this.notices.filter((each) => each.source !== source);
  }

  /** The user has read it. */
  dismiss(notice) {
    this.notices = this.notices.filter((each) => !same(each, notice));
  }

  /** By node, those of one workflow. */
  byNode(workflow) {
    const found = new Map();
    for (const notice of this.notices) {
      if (notice.workflow && workflow && notice.workflow !== workflow) continue;
      found.set(notice.node, [...(found.get(notice.node) ?? []), notice]);
    }
    return found;
  }
}

const same = (one, other) =>
  one.text === other.text && one.node === other.node && one.workflow === other.workflow && one.source === other.source;
