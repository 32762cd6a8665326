// The browser of samples: search, filters, order, pages, keys, and a fragment that leads back to what is shown.

const PAGE = 50;
const FILTERS = ["model", "task", "group", "arm", "result", "outcome", "category", "sort"];
const GUARDED = "*guard", TOP = "*top", RUN = "*run";

// What the scorers made of a sample: the worst of all its values.
const resultOf = values =>
  values.some(([, , fails]) => fails) ? "fails" : values.some(([, value]) => value === null) ? "unscored" : values.length ? "passes" : "not scored alone";

// One entry for each arm of each sample.
const entriesOf = ({ tables, rows }) => {
  const top = tables.verdicts.map(verdict => parts(verdict[VERDICT.scores], 2).reduce((most, [, score]) => Math.max(most, score), -1));
  return rows.flatMap((row, place) => row[ROW.arms].map(made => {
    const judging = [made[MADE.onPrompt], made[MADE.onOutput]].filter(v => v !== null), bare = tables.arms[made[MADE.arm]] === "unguarded";
    const worst = Math.max(...judging.map(v => top[v]));
    const failed = !bare && judging.some(v => tables.verdicts[v][VERDICT.error] !== null);
    return {
      row, made, place,
      bare: bare && row[ROW.arms].length > 1,
      worst: worst < 0 ? null : worst,
      result: resultOf(parts(made[MADE.values], 3)),
      outcome: failed ? FAILED : ACTIONS[made[MADE.action]],
      triggered: [...new Set(judging.flatMap(v => tables.verdicts[v][VERDICT.triggered]))],
    };
  }));
};

const valueOf = (entry, metric) => parts(entry.made[MADE.values], 3).find(([m]) => m === metric)?.[1] ?? null;

const sampleBrowser = data => {
  const { tables, rows } = data, entries = entriesOf(data), view = sampleView(tables);
  const control = Object.fromEntries([...FILTERS, "words", "snippets"].map(name => [name, byId(`find-${name}`)]));
  const named = { model: tables.models, task: tables.tasks, group: tables.groups, arm: tables.arms, category: tables.categories, sort: tables.metrics };
  const list = byId("found");
  let found = [], page = 0, ascending = false, open = null, searchable = null;

  const initial = name => (name === "sort" ? TOP : name === "arm" && entries.some(entry => entry.bare) ? GUARDED : "");

  // Count what each choice would find, so that nobody picks an empty one.
  const choices = (name, table, keys, before) => {
    const counts = new Map();
    entries.forEach(entry => keys(entry).forEach(key => counts.set(key, (counts.get(key) ?? 0) + 1)));
    const found = [...counts].map(([key, n]) => [key, table ? spelt(table[key]) : key, n]).sort((a, b) => (a[1] < b[1] ? -1 : 1));
    control[name].replaceChildren(...before, ...found.map(([key, text, n]) => option(key, `${text} (${counted(n)})`)));
  };
  const ofTask = entry => control.task.value === "" || entry.row[ROW.task] === +control.task.value;
  const fillGroups = () => choices("group", tables.groups, entry => (ofTask(entry) ? [entry.row[ROW.group]] : []), [option("", "All groups")]);
  const fill = () => {
    choices("model", tables.models, entry => [entry.row[ROW.model]], [option("", "All models")]);
    choices("task", tables.tasks, entry => [entry.row[ROW.task]], [option("", "All tasks")]);
    fillGroups();
    const guarded = entries.some(entry => entry.bare) ? [option(GUARDED, "With the guard")] : [];
    choices("arm", tables.arms, entry => [entry.made[MADE.arm]], [...guarded, option("", "All arms")]);
    choices("result", null, entry => [entry.result], [option("", "All results")]);
    choices("outcome", null, entry => [entry.outcome], [option("", "Any action")]);
    choices("category", tables.categories, entry => entry.triggered, [option("", "Any or none")]);
    control.sort.replaceChildren(
      option(TOP, "Highest filter score"),
      ...tables.metrics.map((metric, i) => option(i, spoken(metric))),
      option(RUN, "Order of the run"),
    );
    FILTERS.forEach(name => { control[name].value = initial(name); });
    control.model.closest("label").hidden = tables.models.length < 2;
    control.result.closest("label").hidden = tables.metrics.length === 0;
  };

  const sought = () => control.words.value.toLowerCase().split(/\s+/).filter(Boolean);

  const holds = ({ row, made }, words) => {
    searchable ??= tables.texts.map(([text]) => text.toLowerCase());
    const id = row[ROW.id].toLowerCase();
    const held = [row[ROW.prompt], row[ROW.output], made[MADE.released]].filter(i => i !== null);
    return words.every(word => id.includes(word) || held.some(i => searchable[i].includes(word)));
  };

  const test = () => {
    const { model, task, group, arm, result, outcome, category } = Object.fromEntries(FILTERS.map(name => [name, control[name].value]));
    const words = sought();
    return entry => {
      const { row, made } = entry;
      return (model === "" || row[ROW.model] === +model)
        && (task === "" || row[ROW.task] === +task)
        && (group === "" || row[ROW.group] === +group)
        && (arm === "" || (arm === GUARDED ? !entry.bare : made[MADE.arm] === +arm))
        && (result === "" || entry.result === result)
        && (outcome === "" || entry.outcome === outcome)
        && (category === "" || entry.triggered.includes(+category))
        && (!words.length || holds(entry, words));
    };
  };

  const scoreOf = entry => (control.sort.value.startsWith("*") ? entry.worst : valueOf(entry, +control.sort.value));

  const find = () => {
    found = entries.filter(test());
    if (control.sort.value === RUN) return void (ascending && found.reverse());
    const keyed = found.map(entry => [scoreOf(entry), entry]);
    keyed.sort(([a, one], [b, other]) => compared(a, b, !ascending) || one.place - other.place);
    found = keyed.map(([, entry]) => entry);
  };

  const addressOf = entry => ({
    id: entry.row[ROW.id], of: tables.models[entry.row[ROW.model]], in: tables.arms[entry.made[MADE.arm]],
  });
  const isAt = (entry, address) => Object.entries(addressOf(entry)).every(([key, value]) => address?.[key] === value);

  const fragment = address => {
    const asked = new URLSearchParams();
    FILTERS.forEach(name => {
      const { value } = control[name];
      if (value !== initial(name)) asked.set(name, value === "" || value.startsWith("*") || !named[name] ? value || "*all" : named[name][value]);
    });
    if (control.words.value) asked.set("words", control.words.value);
    if (ascending) asked.set("ascending", "1");
    if (address) Object.entries(address).forEach(([key, value]) => asked.set(key, value));
    else if (page) asked.set("page", page + 1);
    return `#samples?${asked}`;
  };

  const remember = () => history.replaceState(null, "", fragment(open));

  const draw = () => {
    const pages = Math.max(Math.ceil(found.length / PAGE), 1), from = page * PAGE;
    const some = found.slice(from, from + PAGE);
    list.replaceChildren(...some.map(item));
    list.start = from + 1;
    const whole = `${counted(rows.length)} samples in the run`;
    byId("found-count").textContent = found.length
      ? `${counted(from + 1)} to ${counted(from + some.length)} of ${counted(found.length)} found; ${whole}.` : `Nothing found; ${whole}.`;
    byId("found-page").textContent = `Page ${counted(page + 1)} of ${counted(pages)}`;
    byId("page-before").disabled = page === 0;
    byId("page-after").disabled = page >= pages - 1;
    const ordered = control.sort.value === RUN ? ["↓ First first", "↑ Last first"] : ["↓ Highest first", "↑ Lowest first"];
    byId("sort-order").textContent = ordered[+ascending];
  };

  const item = entry => {
    const line = node("li", "entry");
    const head = view.head(entry, { score: scoreOf(entry), snippet: control.snippets.checked, several: tables.models.length > 1 });
    const unfold = shown => {
      head.setAttribute("aria-expanded", shown);
      line.querySelector(".entry-body")?.remove();
      if (shown) line.append(view.body(entry, sought(), fragment(addressOf(entry))));
    };
    head.addEventListener("click", () => {
      const shown = head.getAttribute("aria-expanded") !== "true";
      open = shown ? addressOf(entry) : isAt(entry, open) ? null : open;
      unfold(shown);
      remember();
    });
    line.append(head);
    unfold(isAt(entry, open));
    return line;
  };

  const changed = () => {
    page = 0;
    open = null;
    find();
    draw();
    remember();
  };

  const turn = (by, { focus } = {}) => {
    const pages = Math.max(Math.ceil(found.length / PAGE), 1), to = Math.min(Math.max(page + by, 0), pages - 1);
    if (to === page) return;
    page = to;
    open = null;
    draw();
    remember();
    if (focus) list.querySelector(".entry-head")?.focus();
    else byId("browser").scrollIntoView({ block: "start", behavior: "instant" });
  };

  const followFragment = () => {
    const [name, query] = location.hash.slice(1).split(/\?(.*)/s);
    if (name !== "samples" || query === undefined) return;
    const asked = new URLSearchParams(query);
    const choose = filter => {
      const value = asked.get(filter), at = value === null ? -1 : named[filter]?.indexOf(value) ?? -1;
      control[filter].value = value === null ? initial(filter) : value === "*all" ? "" : at >= 0 ? at : value;
      if (control[filter].selectedIndex < 0) control[filter].value = initial(filter);
    };
    choose("task");
    fillGroups();
    FILTERS.forEach(choose);
    control.words.value = asked.get("words") ?? "";
    ascending = asked.has("ascending");
    open = asked.has("id") ? Object.fromEntries(["id", "of", "in"].map(key => [key, asked.get(key)])) : null;
    find();
    if (open && !found.some(entry => isAt(entry, open)) && entries.some(entry => isAt(entry, open))) reset({ arm: "" });
    const at = found.findIndex(entry => isAt(entry, open));
    page = at >= 0 ? Math.floor(at / PAGE) : Math.min(Math.max((+asked.get("page") || 1) - 1, 0), Math.max(Math.ceil(found.length / PAGE) - 1, 0));
    draw();
    const target = list.querySelector('[aria-expanded="true"]') ?? byId("samples");
    target.scrollIntoView({ block: "start", behavior: "instant" });
  };

  const reset = (wanted = {}) => {
    control.task.value = "";
    fillGroups();
    FILTERS.forEach(name => { control[name].value = wanted[name] ?? initial(name); });
    control.words.value = "";
    ascending = false;
    find();
  };

  const keys = event => {
    const heads = [...list.querySelectorAll(".entry-head")], at = heads.indexOf(document.activeElement);
    if (at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: heads.length - 1 };
    if (event.key in moves) heads[Math.min(Math.max(moves[event.key], 0), heads.length - 1)].focus();
    else if (event.key === "ArrowRight") turn(1, { focus: true });
    else if (event.key === "ArrowLeft") turn(-1, { focus: true });
    else if (event.key === "Escape" && heads[at].getAttribute("aria-expanded") === "true") heads[at].click();
    else return;
    event.preventDefault();
  };

  let waiting = 0;
  fill();
  control.task.addEventListener("change", fillGroups);
  FILTERS.forEach(name => control[name].addEventListener("change", changed));
  control.words.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(changed, 120); });
  control.snippets.addEventListener("change", draw);
  byId("sort-order").addEventListener("click", () => { ascending = !ascending; changed(); });
  byId("find-reset").addEventListener("click", () => { reset(); changed(); });
  byId("page-before").addEventListener("click", () => turn(-1));
  byId("page-after").addEventListener("click", () => turn(1));
  list.addEventListener("keydown", keys);
  addEventListener("keydown", event => {
    if (event.key !== "/" || event.target.closest?.("input, select, textarea")) return;
    event.preventDefault();
    control.words.focus();
  });
  addEventListener("hashchange", followFragment);
  find();
  draw();
  byId("browser").hidden = false;
  byId("browser").removeAttribute("aria-busy");
  followFragment();
};
