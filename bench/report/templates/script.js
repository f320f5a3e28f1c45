"use strict";
document.documentElement.classList.add("js");
const said = document.getElementById("said");
let hide;
function say(text) {
  said.textContent = text;
  said.classList.add("shown");
  clearTimeout(hide);
  hide = setTimeout(() => said.classList.remove("shown"), 1600);
}
function copyOld(text) {
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyOld(text);
  }
}
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const done = await copy(document.getElementById(button.dataset.copy).value);
    say(done ? "Copied" : "The browser does not allow copying");
  });
}
function key(row, column) {
  const cell = row.cells[column];
  return cell.dataset.number === undefined ? null : Number(cell.dataset.number);
}
function before(column, direction) {
  const words = new Intl.Collator("en", { numeric: true });
  return (one, other) => {
    const a = key(one, column), b = key(other, column);
    if (a !== null && b !== null) return direction * (a - b);
    if (a !== null || b !== null) return a === null ? 1 : -1;
    return direction * words.compare(one.cells[column].textContent, other.cells[column].textContent);
  };
}
function sort(header) {
  const body = header.closest("table").tBodies[0];
  const column = header.cellIndex;
  const numeric = [...body.rows].some((row) => key(row, column) !== null);
  const now = header.getAttribute("aria-sort");
  const up = now ? now === "descending" : !numeric;
  for (const other of header.parentNode.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", up ? "ascending" : "descending");
  body.append(...[...body.rows].sort(before(column, up ? 1 : -1)));
}
for (const button of document.querySelectorAll(".sort")) {
  button.addEventListener("click", () => sort(button.closest("th")));
}
const theme = document.getElementById("theme");
const themes = ["", "light", "dark"];
const names = ["as in the system", "light", "dark"];
theme.addEventListener("click", () => {
  const next = (themes.indexOf(document.documentElement.dataset.theme ?? "") + 1) % themes.length;
  if (themes[next]) document.documentElement.dataset.theme = themes[next];
  else delete document.documentElement.dataset.theme;
  theme.setAttribute("aria-label", `Colours: ${names[next]}`);
  say(`Colours: ${names[next]}`);
});
addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details.case, details.about")) one.open = true;
});
