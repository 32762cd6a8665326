// The threshold slider: what one category of the filters would do at any threshold, with exact intervals.

// The logarithm of the gamma function (Lanczos 1964, g = 7).
const LANCZOS = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
  12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
];
const logGamma = x => {
  const sum = LANCZOS.reduce((total, c, i) => (i ? total + c / (x - 1 + i) : c), 0);
  const t = x + 6.5;
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
};

// The regularised incomplete beta function, by its continued fraction (DLMF 8.17.22) and Lentz's method.
const incompleteBeta = (x, a, b) => {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log(1 - x)) / a;
  const tiny = 1e-300;
  let c = 1, d = 1 / (1 - ((a + b) * x) / (a + 1) || tiny), fraction = d;
  for (let m = 1; m < 500; m++) {
    let before = fraction;
    for (const term of [
      (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m)),
      (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1)),
    ]) {
      d = 1 / (1 + term * d || tiny);
      c = 1 + term / c || tiny;
      fraction *= c * d;
    }
    if (Math.abs(fraction - before) < 1e-15 * Math.abs(fraction)) break;
  }
  return front * fraction;
};

const betaQuantile = (p, a, b) => {
  let low = 0, high = 1;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (incompleteBeta(middle, a, b) < p) low = middle; else high = middle;
  }
  return (low + high) / 2;
};

// Clopper and Pearson 1934, 95%.
const exactInterval = (hits, trials) => [
  hits ? betaQuantile(0.025, hits, trials - hits + 1) : 0,
  hits < trials ? betaQuantile(0.975, hits + 1, trials - hits) : 1,
];

// How many of ascending scores are at or over a threshold.
const atLeast = (scores, threshold) => {
  let low = 0, high = scores.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (scores[middle] < threshold) low = middle + 1; else high = middle;
  }
  return scores.length - low;
};

const tuner = curves => {
  const [texts, categories, slider, exact, policy, mark] =
    ["curve-texts", "curve-category", "threshold", "threshold-value", "to-policy", "policy-mark"].map(byId);
  const plot = byId("roc");
  let curve, steps, threshold;

  const sameTexts = (a, b) => a.task === b.task && a.texts === b.texts;
  const firsts = curves.flatMap((one, i) => (curves.findIndex(other => sameTexts(one, other)) === i ? [i] : []));
  texts.append(...firsts.map(i => option(i, spelt(curves[i].title))));

  const fillCategories = wanted => {
    const found = curves.flatMap((one, i) => (sameTexts(one, curves[texts.value]) ? [i] : []));
    categories.replaceChildren(...found.map(i => option(i, spelt(curves[i].category))));
    categories.value = found.find(i => curves[i].category === wanted) ?? found[0];
  };

  const start = () => {
    curve = curves[categories.value];
    steps = [...new Set([...curve.harmful, ...curve.harmless, curve.threshold ?? 0.5])].sort((a, b) => a - b);
    slider.max = steps.length - 1;
    policy.hidden = mark.hidden = byId("policy-legend").hidden = curve.threshold === null;
    if (curve.threshold !== null) {
      policy.textContent = `Back to the policy’s ${figure(curve.threshold)}`;
      const share = steps.indexOf(curve.threshold) / Math.max(steps.length - 1, 1);
      mark.style.setProperty("left", `calc(9px + (100% - 18px) * ${share})`);
    }
    drawCurve();
    move(curve.threshold ?? 0.5);
  };

  const drawCurve = () => {
    const corners = [...steps].reverse().map(at => pointAt(at));
    const line = [[0, 0], ...corners, [1, 1]].map(([x, y]) => `${(100 * x).toFixed(2)},${(100 - 100 * y).toFixed(2)}`);
    plot.replaceChildren(
      drawn("rect", { class: "frame", x: 0, y: 0, width: 100, height: 100 }),
      drawn("line", { class: "chance", x1: 0, y1: 100, x2: 100, y2: 0 }),
      drawn("polyline", { class: "curve", points: line.join(" ") }),
    );
    if (curve.threshold !== null) plot.append(dotAt(curve.threshold, "policy-dot", 2.6));
    plot.append(dotAt(steps[0], "dot after", 3));
  };

  const pointAt = at => [atLeast(curve.harmless, at) / curve.harmless.length, atLeast(curve.harmful, at) / curve.harmful.length];
  const dotAt = (at, kind, r) => {
    const [x, y] = pointAt(at);
    return drawn("circle", { class: kind, cx: 100 * x, cy: 100 - 100 * y, r });
  };

  const move = to => {
    threshold = to;
    const above = steps.findIndex(step => step >= threshold);
    slider.value = above < 0 ? steps.length - 1 : above;
    exact.value = Number(threshold.toFixed(6));
    const caught = atLeast(curve.harmful, threshold), alarmed = atLeast(curve.harmless, threshold);
    show("recall", caught, curve.harmful.length);
    show("false-alarm", alarmed, curve.harmless.length);
    show("precision", caught, caught + alarmed);
    const said = ["recall", "false-alarm", "precision"].map(name => `${name.replace("-", " ")} ${byId(name).dataset.value}`);
    slider.setAttribute("aria-valuetext", `threshold ${figure(threshold)}: ${said.join(", ")}`);
    plot.lastChild.replaceWith(dotAt(threshold, "dot after", 3));
    plot.setAttribute("aria-label", `ROC curve of ${spelt(curve.category)} on ${texts.selectedOptions[0].textContent}; ${slider.getAttribute("aria-valuetext")}`);
  };

  const show = (name, hits, trials) => {
    const row = byId(name), [value, bounds, count, bar] = row.querySelectorAll("[data-part]");
    const [low, high] = exactInterval(hits, trials);
    row.dataset.value = trials ? figure(hits / trials) : "none";
    value.textContent = row.dataset.value;
    bounds.textContent = `[${figure(low)}, ${figure(high)}]`;
    count.textContent = `${counted(hits)} of ${counted(trials)}`;
    const at = share => `${3 + 94 * share}%`;
    bar.replaceChildren(
      drawn("line", { class: "grid", x1: "3%", x2: "97%", y1: 9, y2: 9 }),
      drawn("line", { class: "whisker after", x1: at(low), x2: at(high), y1: 9, y2: 9 }),
    );
    if (trials) bar.append(drawn("circle", { class: "dot after", cx: at(hits / trials), cy: 9, r: 5 }));
  };

  texts.addEventListener("change", () => { fillCategories(curve.category); start(); });
  categories.addEventListener("change", start);
  slider.addEventListener("input", () => move(steps[slider.valueAsNumber]));
  exact.addEventListener("change", () => move(Math.min(Math.max(exact.valueAsNumber || 0, 0), 1)));
  policy.addEventListener("click", () => move(curve.threshold));
  document.querySelectorAll("#thresholds [data-curve]").forEach(button => {
    button.hidden = false;
    button.addEventListener("click", () => {
      const wanted = curves[button.dataset.curve];
      texts.value = firsts.find(i => sameTexts(curves[i], wanted));
      fillCategories(wanted.category);
      start();
      byId("tuner").scrollIntoView({ block: "nearest" });
      slider.focus({ preventScroll: true });
    });
  });
  fillCategories();
  start();
  byId("tuner").hidden = false;
};
