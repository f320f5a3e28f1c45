const SHOWN = 10;
function floats(text) {
  const bytes = Uint8Array.from(atob(text), (byte) => byte.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}
function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}
function browse(box) {
  const data = JSON.parse(box.querySelector("script").textContent);
  const margins = data.margins.map((text) => (text === null ? null : floats(text)));
  const form = box.querySelector("form"), list = box.querySelector("ol");
  const [first, second, outcome, order] = form.querySelectorAll("select");
  const count = box.querySelector("output"), more = box.querySelector(".more");
  const chosen = () => [Number(first.value), Number(second.value)];
  let found = [], shown = 0;
  function classOf(video) { return data.classes[data.labels[video]]; }
  function clip(video, caption, className) {
    const figure = element("div", `clip ${className}`);
    if (data.pictures[video]) {
      const image = element("img");
      image.src = data.pictures[video];
      image.alt = `frames of ${classOf(video)}`;
      image.width = data.width;
      image.height = data.height;
      figure.append(image);
    }
    figure.append(element("span", "", caption));
    return figure;
  }
  function item(at) {
    const episode = Math.floor(at / data.queries), right = data.right[at];
    const size = data.way * data.shot, start = episode * size;
    const way = (number) => classOf(data.support[start + number * data.shot]);
    const line = element("li");
    const head = element("p", "", `Episode ${data.numbers[episode]}, query ${at % data.queries}: ${way(right)}. `);
    for (const method of chosen()) {
      const answer = data.answers[method][at], fine = answer === right;
      const margin = margins[method] ? `, margin ${margins[method][at].toPrecision(3)}` : "";
      head.append(element("span", fine ? "fine" : "wrong", `${data.methods[method]}: ${fine ? "right" : way(answer)}${margin}`), " ");
    }
    const clips = element("div", "clips");
    clips.append(clip(data.query[at], "query", "query"));
    for (let number = 0; number < size; number += 1) {
      const place = Math.floor(number / data.shot);
      const marks = chosen().filter((method) => data.answers[method][at] === place).map((method) => data.methods[method]);
      clips.append(clip(data.support[start + number], [way(place), ...marks].join(" ← "), place === right ? "right" : ""));
    }
    line.append(head, clips);
    return line;
  }
  function show() {
    const next = found.slice(shown, shown + SHOWN);
    list.append(...next.map(item));
    shown += next.length;
    more.hidden = shown >= found.length;
  }
  function choose() {
    const [a, b] = chosen().map((method) => data.answers[method]);
    const kinds = {
      first: (at) => a[at] === data.right[at] && b[at] !== data.right[at],
      second: (at) => a[at] !== data.right[at] && b[at] === data.right[at],
      neither: (at) => a[at] !== data.right[at] && b[at] !== data.right[at],
      both: (at) => a[at] === data.right[at] && b[at] === data.right[at],
      apart: (at) => a[at] !== b[at],
    };
    found = [...a.keys()].filter(kinds[outcome.value]);
    for (const [number, method] of chosen().entries()) {
      order.options[number].disabled = margins[method] === null;
    }
    if (order.selectedOptions[0].disabled) order.value = "order";
    const by = margins[chosen()[order.value === "second" ? 1 : 0]];
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
