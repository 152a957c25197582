"use strict";
// Tables are sorted by the heads of their columns.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const ascending = head.getAttribute("aria-sort") !== "ascending";
      for (const each of heads) each.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const key = (row) => row.cells[column].dataset.value;
      const rows = [...table.tBodies[0].rows];
      rows.sort((one, other) => {
        const [a, b] = [key(one), key(other)];
        if (a === "" || b === "") return (a === "") - (b === ""); // what is not known comes last
        const order = isNaN(a) || isNaN(b) ? a.localeCompare(b, "en", { numeric: true }) : a - b;
        return ascending ? order : -order;
      });
      table.tBodies[0].append(...rows);
    });
  });
}

// What lies under the pointer.
const tip = document.createElement("div");
tip.id = "tip";
tip.hidden = true;
tip.setAttribute("role", "status");
document.body.append(tip);

function show(text, event) {
  tip.textContent = text;
  tip.hidden = false;
  const width = document.documentElement.clientWidth;
  const left = Math.min(event.pageX + 14, scrollX + width - tip.offsetWidth - 6);
  tip.style.left = `${Math.max(left, 4)}px`;
  tip.style.top = `${Math.max(event.pageY - tip.offsetHeight - 12, scrollY + 4)}px`;
}

function hide() {
  tip.hidden = true;
  for (const each of document.querySelectorAll(".cursor")) each.remove();
}

document.addEventListener("pointerover", (event) => {
  const marked = event.target.closest("[data-tip]");
  if (marked) show(marked.dataset.tip, event);
});
document.addEventListener("pointerout", (event) => {
  if (event.target.closest("[data-tip]")) hide();
});

for (const figure of document.querySelectorAll("figure[data-tips]")) {
  const tips = JSON.parse(figure.dataset.tips);
  for (const svg of figure.querySelectorAll("svg[data-plot]")) {
    const [left, right, top, bottom] = svg.dataset.plot.split(" ").map(Number);
    svg.addEventListener("pointermove", (event) => {
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      const share = (at.x - left) / (right - left);
      hide();
      if (share < 0 || share > 1 || at.y < top || at.y > bottom) return;
      const index = Math.round(share * (tips.length - 1));
      const line = document.createElementNS(svg.namespaceURI, "line");
      const x = left + (index / (tips.length - 1)) * (right - left);
      for (const [name, value] of Object.entries({ x1: x, x2: x, y1: top, y2: bottom, class: "cursor" }))
        line.setAttribute(name, value);
      svg.append(line);
      show(tips[index], event);
    });
    svg.addEventListener("pointerleave", hide);
  }
}

// Commands are copied, where the browser lets a page do so.
for (const button of document.querySelectorAll("button.copy")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.parentElement.querySelector("pre").textContent);
    button.textContent = "copied";
  });
}
