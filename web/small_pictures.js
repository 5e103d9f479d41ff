// Small pictures, large enough to see: the classic canvas never draws a picture larger than it is, and the shipped
// prior's have 64 pixels. Its previews are drawn from enlarged copies (nearest, so that each pixel stays a square); the
// pictures themselves, what the menu saves and what other nodes get, stay as they are. A click on one of several shows
// it at its own size. Only nodes of this pack, and previews in workflows with the shipped prior, are drawn like that.

import { app } from "../../scripts/app.js";

const SMALL = 160; // pixels: larger pictures are left to the editor
const LARGE = 512;
const PRIOR = "SamplerLabLoadEmojiPrior";
const HOSTS = ["PreviewImage", "SaveImage"];
const PREVIEW = "$$canvas-image-preview";
const CAPTION = 15; // room below a single picture for its size
// A text of several lines takes half of the node's room, and the plot below it gets too small to read.
const TEXTS = { SamplerLabPlotSigmas: "names" };
const TEXT_HEIGHT = 84;
// The room of a plot whose letters can be read at 100 %: a new node takes it when its first plot comes.
const PLOT_SIZES = { SamplerLabPlotSigmas: [520, 880], SamplerLabPlotGuidance: [520, 460] };

const enlargedCopies = new WeakMap();

function enlarged(picture) {
  const known = enlargedCopies.get(picture);
  if (known) return known;
  const factor = Math.floor(LARGE / Math.max(picture.naturalWidth, picture.naturalHeight));
  const copy = document.createElement("canvas");
  copy.width = copy.naturalWidth = picture.naturalWidth * factor;
  copy.height = copy.naturalHeight = picture.naturalHeight * factor;
  const pen = copy.getContext("2d");
  pen.imageSmoothingEnabled = false;
  pen.drawImage(picture, 0, 0, copy.width, copy.height);
  enlargedCopies.set(picture, copy);
  return copy;
}

const isSmall = (picture) =>
  picture.complete && picture.naturalWidth > 0 && Math.max(picture.naturalWidth, picture.naturalHeight) <= SMALL;

const isOurs = (node) =>
  node.comfyClass?.startsWith("SamplerLab") ||
  (HOSTS.includes(node.comfyClass) && node.graph?.nodes.some((other) => other.comfyClass === PRIOR));

/** One picture as large as its place, with its true size below. */
function drawOne(pen, widget, picture, width) {
  const height = widget.computedHeight - CAPTION;
  const scale = Math.min(width / picture.naturalWidth, height / picture.naturalHeight);
  const [w, h] = [picture.naturalWidth * scale, picture.naturalHeight * scale];
  pen.drawImage(enlarged(picture), (width - w) / 2, widget.y + (height - h) / 2, w, h);
  pen.fillStyle = globalThis.LiteGraph.NODE_TEXT_COLOR;
  pen.textAlign = "center";
  pen.font = "11px sans-serif";
  const caption = `${picture.naturalWidth} × ${picture.naturalHeight}`;
  pen.fillText(caption, width / 2, widget.y + (height + h) / 2 + CAPTION - 4);
}

function enlarge(node, widget) {
  const original = widget.drawWidget;
  widget.drawWidget = function (pen, options) {
    const pictures = options.previewImages ?? node.imgs ?? [];
    if (!pictures.length || !pictures.every(isSmall) || !this.computedHeight) {
      return original.call(this, pen, options);
    }
    if (pictures.length === 1) return drawOne(pen, this, pictures[0], options.width);
    const chosen = node.imageIndex !== null && node.imageIndex !== undefined;
    return original.call(this, pen, chosen ? options : { ...options, previewImages: pictures.map(enlarged) });
  };
  widget.samplerLabEnlarged = true;
}

function makeRoom(node, width, height) {
  node.setSize([Math.max(node.size[0], width), node.size[1]]);
  let isNew = true;
  const { onConfigure, onExecuted } = node;
  node.onConfigure = function (...given) {
    isNew = false; // it has the size that somebody gave it
    return onConfigure?.apply(this, given);
  };
  node.onExecuted = function (...given) {
    if (isNew) this.setSize([Math.max(this.size[0], width), Math.max(this.size[1], height)]);
    isNew = false;
    return onExecuted?.apply(this, given);
  };
}

app.registerExtension({
  name: "samplerlab.SmallPictures",
  nodeCreated(node) {
    const text = node.widgets?.find((widget) => widget.name === TEXTS[node.comfyClass]);
    if (text?.options) text.options.getMaxHeight = () => TEXT_HEIGHT;
    if (PLOT_SIZES[node.comfyClass]) makeRoom(node, ...PLOT_SIZES[node.comfyClass]);
    if (!node.comfyClass?.startsWith("SamplerLab") && !HOSTS.includes(node.comfyClass)) return;
    const before = node.onDrawBackground;
    node.onDrawBackground = function (...given) {
      before?.apply(this, given); // here the editor makes the widget that shows pictures
      const widget = this.widgets?.find((each) => each.name === PREVIEW);
      if (widget && !widget.samplerLabEnlarged && isOurs(this)) enlarge(this, widget);
    };
  },
});
