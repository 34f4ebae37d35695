"use strict";
(() => {
  const KINDS = ["lexical", "narrow semantic", "broad topical"];
  const STEP = 24;
  const at = (id) => document.getElementById(id);
  const all = JSON.parse(at("data").textContent);
  for (const one of all) {
    one.words = one.t.map(([token]) => token);
    one.text = [...one.words, ...one.c.map((c) => c.slice(1, 4).join(""))].join("\n").toLowerCase();
  }
  const make = (tag, name, text) => {
    const made = document.createElement(tag);
    if (name) made.className = name;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const percent = (share) => (share >= .1 ? Math.round(share * 100) : (share * 100).toFixed(1)) + "%";
  const two = (value) => value.toFixed(2);

  const context = ([id, before, token, after, weight, drawn], most) => {
    const line = make("li");
    const text = make("bdi", "text");
    text.dir = "auto";
    const mark = make("mark", "t", token.trim() || token);
    mark.style.setProperty("--v", Math.min(1, weight / most).toFixed(2));
    text.append(before, mark, after);
    line.append(text, make("span", "from", `${weight.toFixed(1)}${drawn ? ", drawn" : ""} · document ${id}`));
    return line;
  };
  const card = (one) => {
    const made = make("article");
    made.setAttribute("aria-labelledby", `latent-${one.n}`);
    const head = make("h3");
    head.id = `latent-${one.n}`;
    head.tabIndex = -1;
    const title = make("span", "name", one.words.slice(0, 3).join(" · ") || "silent");
    head.append(make("span", "number", `Latent ${one.n} `), title);
    const facts = make("p", "facts");
    facts.append(make("span", `badge k${one.k}`, KINDS[one.k]));
    if (one.j !== null) facts.append(make("span", "badge", `judged ${KINDS[one.j]}`));
    const documents = `${one.d.toLocaleString("en")} document${one.d === 1 ? "" : "s"}`;
    const spread = one.s === null ? "" : ` · ${two(one.s)} apart`;
    facts.append(`${documents} · ${one.f ?? "no"} tokens${spread}`);
    const told = make("p", "told");
    if (one.a) {
      told.append("AUC ", make("b", "", two(one.a[0])), ` ${two(one.a[1])} to ${two(one.a[2])}`);
      const bar = make("span", "area");
      bar.style.setProperty("--low", one.a[1]);
      bar.style.setProperty("--at", one.a[0]);
      bar.style.setProperty("--high", one.a[2]);
      bar.setAttribute("aria-hidden", "true");
      told.append(bar);
    } else told.append("AUC: in too few documents");
    const tokens = make("ul", "tokens");
    tokens.setAttribute("aria-label", "Top tokens and their shares of its weight");
    for (const [token, share] of one.t) {
      const item = make("li");
      item.style.setProperty("--v", Math.min(1, share).toFixed(3));
      item.append(make("bdi", "", token), " ", make("span", "soft", percent(share)));
      tokens.append(item);
    }
    const most = Math.max(...one.c.map((c) => c[4]), 1e-9);
    const contexts = make("ul", "contexts");
    contexts.setAttribute("aria-label", "Contexts");
    contexts.append(...one.c.map((c) => context(c, most)));
    made.append(head, facts, told, tokens, contexts);
    for (const [query, asked, id, rank, without, share, grade] of one.x) {
      const judged = grade > 0 ? " (relevant)" : "";
      const said = make("p", "decisive");
      said.append("Without it document ", make("bdi", "", id), `${judged} falls from rank ${rank} to ${without.toLocaleString("en")} for query `,
        make("bdi", "", query), ": “", make("bdi", "", asked), `”; it holds ${percent(share)} of the score.`);
      made.append(said);
    }
    return made;
  };

  const place = new Map(all.map((one, i) => [one, i]));
  const orders = {
    drawn: (a, b) => place.get(a) - place.get(b),
    often: (a, b) => b.d - a.d || a.n - b.n,
    seldom: (a, b) => a.d - b.d || a.n - b.n,
    told: (a, b) => (b.a?.[0] ?? -1) - (a.a?.[0] ?? -1) || a.n - b.n,
    untold: (a, b) => (a.a?.[0] ?? 2) - (b.a?.[0] ?? 2) || a.n - b.n,
  };
  let found = all;
  let shown = 0;
  const more = () => {
    const part = found.slice(shown, shown + STEP).map(card);
    at("cards").append(...part);
    shown += part.length;
    const left = found.length - shown;
    at("more").hidden = left === 0;
    at("more").textContent = `Show ${Math.min(STEP, left)} more of ${left.toLocaleString("en")}`;
    return part[0];
  };
  const search = () => {
    const word = at("find").value.trim().toLowerCase();
    const kinds = new Set([...document.querySelectorAll("#kind input:checked")].map((box) => Number(box.value)));
    const bare = word.replace(/^##/, "");
    const number = /^\d+$/.test(word) ? Number(word) : null;
    // tokens before contexts: what a latent stands for comes before where it was seen
    const rank = (one) => {
      if (number !== null && one.n === number) return 9;
      const held = one.t.filter(([token]) => token.includes(bare));
      const share = at("order").value === "drawn" ? held.reduce((sum, [, part]) => sum + part, 0) : 0;
      if (one.words.includes(bare)) return 1.5 + share; // the more of a latent it is, the earlier
      if (held.length) return .5 + share;
      return one.text.includes(bare) ? 0 : -1;
    };
    const by = orders[at("order").value];
    const kept = all.filter((one) => kinds.has(one.k)).map((one) => [one, bare ? rank(one) : 0]);
    found = kept.filter(([, value]) => value >= 0).sort((a, b) => b[1] - a[1] || by(a[0], b[0])).map(([one]) => one);
    at("cards").replaceChildren();
    shown = 0;
    more();
    const count = found.length.toLocaleString("en");
    at("found").textContent = found.length === all.length ? `${count} latents` : `${count} of ${all.length.toLocaleString("en")} latents`;
  };
  let waiting = 0;
  at("find").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(search, 80);
  });
  at("order").addEventListener("change", search);
  at("kind").addEventListener("change", search);
  at("more").addEventListener("click", () => more()?.querySelector("h3").focus());
  document.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    search();
  });
  const asked = decodeURIComponent(location.hash.slice(1));
  if (asked.startsWith("find=")) at("find").value = asked.slice(5);
  search();
})();
