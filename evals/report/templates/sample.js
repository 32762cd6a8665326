// How one sample is drawn: its line in the list, and its verdicts and texts once it is opened.

const ACTIONS = ["allow", "review", "redact", "regenerate", "block"];
const FAILED = "filter failed";

// Places in a row, an arm and a verdict, as browser_data.py packs them.
const ROW = { model: 0, task: 1, group: 2, promptId: 3, id: 4, prompt: 5, output: 6, harmful: 7, arms: 8, options: 9, target: 10 };
const MADE = { arm: 0, action: 1, released: 2, onPrompt: 3, onOutput: 4, values: 5 };
const VERDICT = { action: 0, scores: 1, triggered: 2, spans: 3, error: 4 };

const parts = (flat, size) =>
  Array.from({ length: flat.length / size }, (_, i) => flat.slice(size * i, size * (i + 1)));

// Draw a text in runs: inside spans, at what was searched for, and everything else, with no ink spelt out.
const runs = (text, spans, sought, names) => {
  const hits = placesOf(text, sought);
  const cuts = [...new Set([0, text.length, ...spans.flat(), ...hits.flat()])].sort((a, b) => a - b);
  return cuts.slice(1).flatMap((end, i) => {
    const start = cuts[i], run = spelt(text.slice(start, end));
    const over = spans.filter(([from, to]) => from <= start && end <= to);
    const hit = hits.some(([from, to]) => from <= start && end <= to);
    if (!over.length && !hit) return plainRuns(run);
    const mark = node("mark", over.length ? (hit ? "hit" : "") : "hit only", run);
    if (over.length) mark.title = noteOn(over, names);
    return [mark];
  });
};

const placesOf = (text, sought) => {
  const small = text.toLowerCase();
  if (small.length !== text.length) return [];
  return sought.flatMap(word => {
    const found = [];
    for (let at = small.indexOf(word); at >= 0; at = small.indexOf(word, at + word.length)) found.push([at, at + word.length]);
    return found;
  });
};

const noteOn = (spans, { categories, methods }) => {
  const worst = new Map();
  for (const [, , category, score, value, method] of spans)
    if (score > (worst.get(category)?.score ?? -1)) worst.set(category, { score, value, method });
  return [...worst].map(([category, { score, value, method }]) => {
    const worth = value === null ? "" : `, of which these words ${value < 0 ? "" : "+"}${value.toFixed(2)} in log-odds`;
    return `${spelt(categories[category])} ${score.toFixed(2)}${worth}${methods[method] ? ` by ${spelt(methods[method])}` : ""}`;
  }).sort().join("; ");
};

const MOST_WORTH = 8, LONGEST_WORTH = 60;

// What the words that were located are worth, where the filter says so: a title is seen only by who can hover.
const worthOf = (text, spans, { categories, methods }) => {
  const known = spans.filter(([, , , , value]) => value !== null).sort((a, b) => Math.abs(b[4]) - Math.abs(a[4]) || a[0] - b[0]);
  if (!known.length) return [];
  const line = node("p", "quiet worth", "Worth, in log-odds: ");
  line.append(known.slice(0, MOST_WORTH).map(([start, end, category, , value, method]) => {
    const words = spelt(text.slice(start, Math.min(end, start + LONGEST_WORTH))) + (end > start + LONGEST_WORTH ? "…" : "");
    return `“${words}” ${value < 0 ? "" : "+"}${value.toFixed(2)} to ${spelt(categories[category])}${methods[method] ? ` (${spelt(methods[method])})` : ""}`;
  }).join("; ") + (known.length > MOST_WORTH ? `; and ${counted(known.length - MOST_WORTH)} more` : "") + ".");
  return [line];
};

const plainRuns = run => run.split(/(‹U\+[0-9A-F]{4,6}›)/u).filter(Boolean)
  .map(piece => (/^‹U\+[0-9A-F]{4,6}›$/u.test(piece) ? node("span", "hidden", piece) : document.createTextNode(piece)));

const spoken = metric => spelt(metric).replaceAll("_", " ");

// Everything about the drawing of one run's samples; `tables` are those of the packed data.
const sampleView = tables => {
  const { models, tasks, groups, arms, categories, metrics, texts, verdicts } = tables;

  const passage = (title, index, spans, sought) => {
    const block = node("div", "passage"), [text, left] = texts[index];
    block.append(node("h5", "", title));
    if (!text) block.append(node("p", "quiet", "Empty."));
    else {
      const quote = node("blockquote");
      quote.dir = "auto";
      quote.append(...runs(text, spans, sought, tables));
      block.append(quote, ...worthOf(text, spans, tables));
    }
    if (left) block.append(node("p", "quiet", `${counted(left)} more characters are in the run’s journal.`));
    return block;
  };

  const chip = (name, score, fired, why) => {
    const element = node("span", fired ? "chip fired" : "chip", `${name} `);
    element.append(node("b", "", figure(score)));
    if (fired) element.append(node("span", "aside", why));
    return element;
  };

  const decision = (title, verdict) => {
    const line = node("div", "decision"), chips = node("span", "chips"), action = ACTIONS[verdict[VERDICT.action]];
    const scores = parts(verdict[VERDICT.scores], 2).sort(([, a], [, b]) => b - a).slice(0, 10);
    chips.append(...scores.map(([c, score]) => chip(spelt(categories[c]), score, verdict[VERDICT.triggered].includes(c), " over its threshold")));
    line.append(node("span", "stage", title), node("span", `action ${action}`, action), chips);
    if (verdict[VERDICT.error] !== null) line.append(node("span", "broken", `A filter failed: ${spelt(verdict[VERDICT.error])}`));
    return line;
  };

  const optionsOf = row => {
    const options = parts(row[ROW.options], 2);
    if (!options.length) return [];
    const block = node("div", "passage"), list = node("ul", "options");
    list.append(...options.map(([text, likelihood]) => {
      const item = node("li", "", spelt(textOf(text)));
      item.append(" ", node("small", "", `log-likelihood ${figure(likelihood)}`));
      return item;
    }));
    block.append(node("h5", "", "Options"), list);
    return [block];
  };

  const textOf = index => (index === null ? "–" : texts[index][0]);

  const spansOf = index => (index === null ? [] : parts(verdicts[index][VERDICT.spans], 6));

  const judged = made => {
    const values = parts(made[MADE.values], 3);
    if (!values.length) return [];
    const line = node("div", "decision"), chips = node("span", "chips");
    chips.append(...values.map(([metric, value, fails]) => chip(spoken(metrics[metric]), value, fails, " which fails")));
    line.append(node("span", "stage", "Scored"), chips);
    return [line];
  };

  const otherArms = ({ row, made }) => row[ROW.arms].filter(other => other !== made).map(other => {
    const name = spelt(arms[other[MADE.arm]]), action = ACTIONS[other[MADE.action]];
    const values = parts(other[MADE.values], 3).map(([m, value]) => `${spoken(metrics[m])} ${figure(value)}`);
    return node("p", "quiet", `The same sample ${name}: ${[action, ...values].join(", ")}.`);
  });

  const body = (entry, sought, link) => {
    const { row, made } = entry, block = node("div", "entry-body");
    block.append(decision("Prompt", verdicts[made[MADE.onPrompt]]));
    if (made[MADE.onOutput] !== null) block.append(decision("Output", verdicts[made[MADE.onOutput]]));
    block.append(...judged(made), passage("Prompt", row[ROW.prompt], spansOf(made[MADE.onPrompt]), sought));
    block.append(...optionsOf(row));
    if (row[ROW.target] !== null) block.append(node("p", "quiet", `Right: ${spelt(textOf(row[ROW.target]))}`));
    if (row[ROW.output] !== null) {
      block.append(passage("What the model wrote", row[ROW.output], spansOf(made[MADE.onOutput]), sought));
      if (made[MADE.released] === row[ROW.output]) block.append(node("p", "quiet", "Released unchanged."));
    }
    if (made[MADE.released] !== null && made[MADE.released] !== row[ROW.output])
      block.append(passage("What was released", made[MADE.released], [], sought));
    const anchor = node("a", "permalink", "Link to this sample");
    anchor.href = link;
    block.append(...otherArms(entry), anchor);
    return block;
  };

  const head = (entry, { score, snippet, several }) => {
    const { row, made } = entry, button = node("button", "entry-head");
    button.type = "button";
    const named = node("span", "entry-name");
    named.append(node("b", "", spelt(groups[row[ROW.group]])), " ", node("code", "", spelt(row[ROW.id])));
    const about = [spelt(tasks[row[ROW.task]]), spelt(arms[made[MADE.arm]])];
    if (row[ROW.harmful] !== null) about.push(row[ROW.harmful] ? "harmful prompt" : "harmless prompt");
    if (several) about.unshift(spelt(models[row[ROW.model]]));
    named.append(node("small", "", about.join(" · ")));
    if (snippet) named.append(node("span", "snippet", spelt(texts[row[ROW.output] ?? row[ROW.prompt]][0].slice(0, 160))));
    const fired = node("span", "chips");
    fired.append(...entry.triggered.slice(0, 4).map(c => node("span", "chip fired", spelt(categories[c]))));
    const kind = entry.outcome === FAILED ? "block" : entry.outcome;
    button.append(node("span", "score", figure(score)), named, fired, node("span", `action ${kind}`, entry.outcome));
    return button;
  };

  return { body, head };
};
