"use strict";
(() => {
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const said = document.querySelector(".said");
  const cards = all("article").map((card) => ({
    marks: all(".t", card).map((mark) => ({
      mark, at: mark.dataset.i.split(" ").map(Number), rest: mark.style.getPropertyValue("--v"),
    })),
    name: card.dataset.name,
    width: Number(card.dataset.width),
    shades: card.dataset.shades, // two hexadecimal digits for each pair of tokens
    best: card.dataset.best.split(" ").map(Number),
  }));
  const shade = (card, token, i) => {
    const place = 2 * (token * card.width + i);
    return parseInt(card.shades.slice(place, place + 2), 16) / 255;
  };
  let held = null;
  const show = (token) => {
    all(".on").forEach((one) => one.classList.remove("on"));
    if (token !== null) all(`[data-q="${token}"]`).forEach((one) => one.classList.add("on"));
    for (const card of cards) {
      for (const { mark, at, rest } of card.marks) {
        const v = token === null ? rest : Math.max(...at.map((i) => shade(card, token, i)));
        mark.style.setProperty("--v", v);
        mark.classList.toggle("best", token !== null && at.includes(card.best[token]));
      }
    }
    said.textContent = token === null ? "" : document.querySelector(`tr[data-q="${token}"]`).dataset.said;
  };
  const hold = (token) => {
    held = held === token ? null : token;
    all("button[data-q]").forEach((one) => one.setAttribute("aria-pressed", Number(one.dataset.q) === held));
    show(token);
  };
  for (const one of all("[data-q]")) {
    const token = Number(one.dataset.q);
    one.addEventListener("pointerenter", () => show(token));
    one.addEventListener("pointerleave", () => show(held));
    if (one.matches("button")) {
      one.addEventListener("focus", () => { if (one.matches(":focus-visible")) show(token); });
      one.addEventListener("blur", () => show(held));
      one.addEventListener("click", () => hold(token));
    }
  }
  const buttons = all("button[data-q]");
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      held = null;
      buttons.forEach((one) => one.setAttribute("aria-pressed", false));
      show(null);
    }
    const here = buttons.indexOf(document.activeElement);
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (here >= 0 && step) {
      const turned = getComputedStyle(buttons[here].parentElement).direction === "rtl" ? -step : step;
      buttons[(here + turned + buttons.length) % buttons.length].focus();
      event.preventDefault();
    }
  });
  document.documentElement.classList.add("live");
})();
