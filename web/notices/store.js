// Which notices stand, and on which node. It knows nothing of the editor.

const SEVERITIES = ["info", "warn"];
const MOST_CHARACTERS = 2000;

const isText = (value) => typeof value === "string" && value.length > 0 && value.length <= MOST_CHARACTERS;
const isId = (value) => typeof value === "string" || value === null || value === undefined;
const isValues = (value) =>
  typeof value === "object" && value !== null && Object.values(value).every((each) => typeof each === "string");

/** The notice itself when it has the right shape (host/notices.py), else null. */
export function checkedNotice(value) {
  if (typeof value !== "object" || value === null) return null;
  const { text, pattern, values, severity, node, source, workflow_id: workflow } = value;
  const right = isText(text) && SEVERITIES.includes(severity) && isText(node) && isText(source) && isId(workflow);
  if (!right) return null;
  const sentence = isText(pattern) && isValues(values) ? { text, pattern, values } : { text };
  return { ...sentence, severity, node, source, workflow: workflow ?? null };
}

/** What :func:`checkedNotice` takes. */
const written = ({ workflow, ...notice }) => ({ ...notice, workflow_id: workflow });

export class NoticeStore {
  /** ``keep(workflow, notices)`` is told whatever changes. */
  constructor(keep = () => {}) {
    this.notices = [];
    this.announced = new Set(); // what a toast has said: a notice that comes back is not announced again
    this.keep = keep;
  }

  /** Adds it; true when it has not been announced before. */
  add(notice) {
    if (!this.notices.some((each) => same(each, notice))) {
      this.notices.push(notice);
      this.keepOf([notice]);
    }
    return this.announce(notice);
  }

  announce({ workflow, node, text }) {
    const key = JSON.stringify([workflow, node, text]);
    const isNew = !this.announced.has(key);
    this.announced.add(key);
    return isNew;
  }

  /** Those that stood before the page was loaded anew: nobody is told again. */
  recall(kept) {
    for (const notice of kept.map(checkedNotice)) {
      if (!notice || this.notices.some((each) => same(each, notice))) continue;
      this.notices.push(notice);
      this.announce(notice);
    }
  }

  /** The node begins to run: what its last run had to say is no longer true. */
  begin(source) {
    this.remove((each) => each.source === source);
  }

  /** The user has read it. */
  dismiss(notice) {
    this.remove((each) => same(each, notice));
  }

  remove(which) {
    const gone = this.notices.filter(which);
    this.notices = this.notices.filter((each) => !gone.includes(each));
    this.keepOf(gone);
  }

  keepOf(changed) {
    for (const workflow of new Set(changed.map((notice) => notice.workflow).filter(Boolean))) {
      this.keep(workflow, this.notices.filter((notice) => notice.workflow === workflow).map(written));
    }
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
