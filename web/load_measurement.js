// Load Measurement: a button, and dropping a file onto the node, put the file into ComfyUI's input folder.
// The host's own upload widgets accept pictures, sound and video only; its upload address takes any file.

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

const NODE = "SamplerLabLoadMeasurement";
const EXTENSIONS = [".npz", ".npy", ".mat", ".h5", ".hdf5"];
const LABEL = { en: "choose file to upload", ko: "업로드할 파일 선택" };

const isMeasurement = (file) => EXTENSIONS.some((extension) => file.name.toLowerCase().endsWith(extension));

function label() {
  const locale = app.extensionManager?.setting?.get?.("Comfy.Locale") ?? "en";
  return LABEL[locale] ?? LABEL.en;
}

function notify(detail) {
  app.extensionManager?.toast?.add?.({ severity: "error", summary: "Load Measurement", detail, life: 8000 });
}

/** Send one file to the input folder and choose it in the node's list. */
async function upload(node, file) {
  const form = new FormData();
  form.append("image", file); // the host's name for any file
  let response;
  try {
    response = await api.fetchApi("/upload/image", { method: "POST", body: form });
  } catch (error) {
    notify(`${file.name} could not be uploaded: ${error.message}`);
    return;
  }
  if (response.status !== 200) {
    notify(`${file.name} could not be uploaded: ${response.status} ${response.statusText}`);
    return;
  }
  const saved = await response.json();
  const name = saved.subfolder ? `${saved.subfolder}/${saved.name}` : saved.name;
  const widget = node.widgets.find((candidate) => candidate.name === "file");
  if (!widget.options.values.includes(name)) {
    widget.options.values = [name, ...widget.options.values];
  }
  widget.value = name;
  widget.callback?.(name);
  node.setDirtyCanvas(true, true);
}

app.registerExtension({
  name: "samplerlab.LoadMeasurement",
  nodeCreated(node) {
    if (node.comfyClass !== NODE) return;
    const choose = () => {
      const input = document.createElement("input");
      input.type = "file";
      input.accept = EXTENSIONS.join(",");
      input.onchange = () => input.files[0] && upload(node, input.files[0]);
      input.click();
    };
    // serialize: false keeps the button out of saved workflows, whose values are told apart by position.
    const button = node.addWidget("button", label(), null, choose, { serialize: false });
    button.serialize = false;
    node.onDragOver = (event) => [...(event.dataTransfer?.items ?? [])].some((item) => item.kind === "file");
    node.onDragDrop = (event) => {
      const file = [...event.dataTransfer.files].find(isMeasurement);
      if (file) upload(node, file);
      return Boolean(file);
    };
  },
});
