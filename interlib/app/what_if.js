(() => {
const panel = document.getElementById("what-if"), given = JSON.parse(panel.dataset.numbers);
const all = what => [...panel.querySelectorAll(what)], say = (what, text) => all(`[data-say=${what}]`).forEach(place => place.textContent = text);
const numbers = (bytes, type) => new type(Uint8Array.from(atob(bytes), c => c.charCodeAt(0)).buffer);
const real = numbers(given.real, Float64Array), predicted = numbers(given.predicted, Float64Array), groups = numbers(given.groups, Uint16Array);
const players = all("[data-player]"), rows = all("[data-row]"), rest = all("[data-more]");
const text = x => { const digits = Math.abs(x).toFixed(given.decimals); return (+digits ? x < 0 ? "−" : "+" : "") + digits; };
const counts = (group, S) => group >> 15 ? (group & S) != 0 : (group & S) == group;       // OR: any is there; AND: all are
const share = x => 100 * x / (given.high - given.low || 1) + "%";
const draw = (row, from, to) => {
  row.style.setProperty("--from", share(Math.min(from, to) - given.low));
  row.style.setProperty("--size", share(Math.abs(to - from)));
};
let S = real.length - 1;                                                                  // the coalition: bit i is player i
function show() {
  let sum = given.constant, lit = 0;
  players.forEach(b => b.setAttribute("aria-pressed", (S >> b.dataset.player & 1) == 1));
  rows.forEach((row, k) => {
    const on = counts(groups[k], S), next = on ? sum + given.effects[k] : sum;
    row.classList.toggle("off", !on);
    draw(row, sum, next);
    sum = next; lit += on;
  });
  const others = groups.subarray(rows.length).filter(group => counts(group, S)).length;
  rest.forEach(row => {
    row.classList.toggle("off", !others);
    draw(row, sum, predicted[S]);
    row.cells[0].textContent = text(predicted[S] - sum);
  });
  panel.style.setProperty("--real", share(real[S] - given.low));
  say("predicted", text(predicted[S])); say("real", text(real[S])); say("difference", text(predicted[S] - real[S]));
  say("more", `and ${others} weaker, together`);
  say("sum", `Constant ${text(given.constant)}, and ${lit + others} of ${groups.length} interactions together ${text(predicted[S] - given.constant)}, make ${text(predicted[S])}.`);
}
players.forEach(b => b.onclick = () => { S ^= 1 << b.dataset.player; show(); });
all("[data-all]").forEach(b => b.onclick = () => { S = b.dataset.all * (real.length - 1); show(); });
rows.forEach((row, k) => row.cells[0].textContent = text(given.effects[k]));
panel.querySelector("[hidden]").hidden = false;
show();
})();
