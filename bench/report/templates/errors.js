const SHOWN = 10;
function floats(text) {
  const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}
function made(tag, className, text) {
  const one = document.createElement(tag);
  if (className) one.className = className;
  if (text !== undefined) one.textContent = text;
  return one;
}
function browse(box) {
  const data = JSON.parse(box.querySelector("script").textContent);
  const margins = data.margins.map((one) => (one === null ? null : floats(one)));
  const form = box.querySelector("form"), list = box.querySelector("ol");
  const [one, other, outcome, order] = form.querySelectorAll("select");
  const count = box.querySelector("output"), more = box.querySelector(".more");
  let found = [], shown = 0;
  function word(video) { return data.classes[data.labels[video]]; }
  function clip(video, words, className) {
    const figure = made("div", `clip ${className}`);
    if (data.pictures[video]) {
      const image = made("img");
      image.src = data.pictures[video];
      image.alt = `frames of ${word(video)}`;
      image.width = data.width;
      image.height = data.height;
      figure.append(image);
    }
    figure.append(made("span", "", words));
    return figure;
  }
  function entry(at) {
    const episode = Math.floor(at / data.queries), right = data.right[at];
    const size = data.way * data.shot, first = episode * size;
    const way = (number) => word(data.support[first + number * data.shot]);
    const item = made("li");
    const head = made("p", "", `Episode ${data.numbers[episode]}, query ${at % data.queries}: ${way(right)}. `);
    for (const method of [Number(one.value), Number(other.value)]) {
      const said = data.answers[method][at], fine = said === right;
      const margin = margins[method] ? `, margin ${margins[method][at].toPrecision(3)}` : "";
      head.append(made("span", fine ? "fine" : "wrong", `${data.methods[method]}: ${fine ? "right" : way(said)}${margin}`), " ");
    }
    const clips = made("div", "clips");
    clips.append(clip(data.query[at], "query", "query"));
    for (let number = 0; number < size; number += 1) {
      const place = Math.floor(number / data.shot);
      const marks = [Number(one.value), Number(other.value)].filter((method) => data.answers[method][at] === place).map((method) => data.methods[method]);
      clips.append(clip(data.support[first + number], [way(place), ...marks].join(" ← "), place === right ? "right" : ""));
    }
    item.append(head, clips);
    return item;
  }
  function show() {
    const next = found.slice(shown, shown + SHOWN);
    list.append(...next.map(entry));
    shown += next.length;
    more.hidden = shown >= found.length;
  }
  function choose() {
    const a = data.answers[Number(one.value)], b = data.answers[Number(other.value)];
    const kinds = {
      first: (at) => a[at] === data.right[at] && b[at] !== data.right[at],
      second: (at) => a[at] !== data.right[at] && b[at] === data.right[at],
      neither: (at) => a[at] !== data.right[at] && b[at] !== data.right[at],
      both: (at) => a[at] === data.right[at] && b[at] === data.right[at],
      apart: (at) => a[at] !== b[at],
    };
    found = [...a.keys()].filter(kinds[outcome.value]);
    for (const [number, method] of [one, other].entries()) {
      order.options[number].disabled = margins[Number(method.value)] === null;
    }
    if (order.selectedOptions[0].disabled) order.value = "order";
    const by = margins[order.value === "second" ? Number(other.value) : Number(one.value)];
    if (order.value !== "order" && by) found.sort((x, y) => by[y] - by[x] || x - y);
    list.replaceChildren();
    shown = 0;
    count.textContent = `${found.length.toLocaleString("en")} of ${a.length.toLocaleString("en")} queries`;
    show();
  }
  form.addEventListener("change", choose);
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", show);
  box.hidden = false;
  choose();
}
for (const box of document.querySelectorAll(".errors")) {
  // Thousands of answers are sorted when somebody looks, not before.
  new IntersectionObserver((seen, self) => {
    if (seen.some((one) => one.isIntersecting)) { self.disconnect(); browse(box); }
  }, { rootMargin: "400px" }).observe(box.previousElementSibling);
}
