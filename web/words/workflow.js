// What a workflow is known by.

const NOBODYS = /^[0-]*$/;

/** Whether this id tells one workflow from another: a graph that was opened from the API's format has only zeros. */
export const isOwnId = (id) => typeof id === "string" && !NOBODYS.test(id);
