const filters = document.getElementById("filters");
const table = document.querySelector("#board table");
const rows = [...table.tBodies[0].rows];
const selects = [...filters.querySelectorAll("[data-column]")];
const videos = filters.querySelector("[data-columns]");
const banks = Number(filters.dataset.banks);
function filter() {
  const wanted = videos && videos.value ? videos.value.split(",").map(Number) : null;
  const shows = (column) => column < banks || !wanted || wanted.includes(column);
  for (const row of table.rows) {
    for (const cell of row.cells) cell.hidden = !shows(cell.cellIndex);
  }
  for (const row of rows) {
    const ran = [...row.cells].some((cell) => cell.cellIndex >= banks && !cell.hidden && cell.textContent.trim());
    const fitting = selects.every((select) => !select.value || row.cells[select.dataset.column].textContent.trim() === select.value);
    row.hidden = !(ran && fitting);
  }
  const left = rows.filter((row) => !row.hidden).length;
  document.getElementById("shown").textContent = `${left} of ${rows.length} rows`;
}
filters.addEventListener("change", filter);
filters.addEventListener("submit", (event) => event.preventDefault());
filters.hidden = false;
filter();
