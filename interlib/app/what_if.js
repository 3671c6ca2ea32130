(() => {
const panel = document.getElementById("what-if"), given = JSON.parse(panel.dataset.numbers);
const all = what => [...panel.querySelectorAll(what)], say = (what, text) => all(`[data-say=${what}]`).forEach(place => place.textContent = text);
const numbers = (bytes, type) => new type(Uint8Array.from(atob(bytes), c => c.charCodeAt(0)).buffer);
const drawn = given.real === null, real = drawn ? null : numbers(given.real, Float64Array);
const predicted = drawn ? null : numbers(given.predicted, Float64Array), groups = drawn ? given.groups : numbers(given.groups, Uint16Array);
const players = all("[data-player]"), rows = all("[data-row]"), rest = all("[data-more]");
const text = x => { const digits = Math.abs(x).toFixed(given.decimals); return (+digits ? x < 0 ? "−" : "+" : "") + digits; };
const there = i => drawn ? S[i] : (S >> i & 1) == 1;
const counts = group => {                                                                  // OR: any is there; AND: all are
  if (!drawn) return group >> 15 ? (group & S) != 0 : (group & S) == group;
  const [isOr, ...members] = group;
  return isOr ? members.some(there) : members.every(there);
};
const share = x => 100 * x / (given.high - given.low || 1) + "%";
const draw = (row, from, to) => {
  row.style.setProperty("--from", share(Math.min(from, to) - given.low));
  row.style.setProperty("--size", share(Math.abs(to - from)));
};
const everybody = drawn ? Array(players.length).fill(true) : real.length - 1, nobody = drawn ? Array(players.length).fill(false) : 0;
let S = everybody;                                       // the coalition: bit i, or entry i of a list, is player i
function predict() {                                     // also widens the scale to what is shown
  if (!drawn) return predicted[S];
  let sum = given.constant;
  groups.forEach((group, k) => {
    if (counts(group)) sum += given.effects[k];
    if (k < rows.length) { given.low = Math.min(given.low, sum); given.high = Math.max(given.high, sum); }
  });
  given.low = Math.min(given.low, sum); given.high = Math.max(given.high, sum);
  return sum;
}
function show() {
  const h = predict();
  let sum = given.constant, lit = 0;
  players.forEach(b => b.setAttribute("aria-pressed", there(b.dataset.player)));
  rows.forEach((row, k) => {
    const on = counts(groups[k]), next = on ? sum + given.effects[k] : sum;
    row.classList.toggle("off", !on);
    draw(row, sum, next);
    sum = next; lit += on;
  });
  const others = groups.slice(rows.length).filter(counts).length;
  rest.forEach(row => {
    row.classList.toggle("off", !others);
    draw(row, sum, h);
    row.cells[0].textContent = text(h - sum);
  });
  say("predicted", text(h));
  if (!drawn) {
    panel.style.setProperty("--real", share(real[S] - given.low));
    say("real", text(real[S])); say("difference", text(h - real[S]));
  }
  say("more", `and ${others} weaker, together`);
  say("sum", `Constant ${text(given.constant)}, and ${lit + others} of ${groups.length} interactions together ${text(h - given.constant)}, make ${text(h)}.`);
}
players.forEach(b => b.onclick = () => {
  if (drawn) S = S.map((on, i) => i == b.dataset.player ? !on : on);
  else S ^= 1 << b.dataset.player;
  show();
});
all("[data-all]").forEach(b => b.onclick = () => { S = +b.dataset.all ? everybody : nobody; show(); });
rows.forEach((row, k) => row.cells[0].textContent = text(given.effects[k]));
panel.querySelector("[hidden]").hidden = false;
show();
})();
