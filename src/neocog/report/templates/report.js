"use strict";
// Show the values of a chart that are nearest to the pointer.
for (const svg of document.querySelectorAll("svg[data-read]")) {
  const spots = JSON.parse(svg.dataset.read);
  const output = svg.parentElement.querySelector("output");
  const make = (name, attributes) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    return svg.appendChild(node);
  };
  let drawn = [];
  const clear = () => {
    drawn.forEach((node) => node.remove());
    drawn = [];
    output.textContent = "";
  };
  const show = (event) => {
    const box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left) * svg.viewBox.baseVal.width / box.width;
    const spot = spots.reduce((a, b) => Math.abs(b.x - x) < Math.abs(a.x - x) ? b : a);
    clear();
    const path = `M${spot.x} ${svg.dataset.top}V${svg.dataset.bottom}`;
    drawn.push(make("path", { class: "guide", d: path }));
    for (const [colour, y] of spot.dots) {
      drawn.push(make("circle", { class: "dot " + colour, cx: spot.x, cy: y, r: 4 }));
    }
    output.textContent = spot.text;
  };
  svg.addEventListener("pointermove", show);
  svg.addEventListener("pointerdown", show);
  svg.addEventListener("pointerleave", clear);
}
// Details cannot be opened on paper, so they are printed open.
const passages = [...document.querySelectorAll("details.passage")];
let closed = [];
addEventListener("beforeprint", () => {
  closed = passages.filter((one) => !one.open);
  closed.forEach((one) => { one.open = true; });
});
addEventListener("afterprint", () => closed.forEach((one) => { one.open = false; }));
