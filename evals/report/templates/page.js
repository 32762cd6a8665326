// What every part of the page's script uses. Foreign text enters the page as text, never as markup.

const byId = id => document.getElementById(id);

const node = (tag, className = "", text = "") => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== "") element.textContent = text;
  return element;
};

const drawn = (tag, attributes) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};

const option = (value, text) => {
  const element = node("option", "", text);
  element.value = value;
  return element;
};

// A figure as the rest of the page writes it: three decimals, or three digits where those would hide or drown it.
const figure = value => {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  const text = size !== 0 && (size < 0.0005 || size >= 1000) ? String(Number(value.toPrecision(3))) : value.toFixed(3);
  return text.replace("-", "−");
};

const counted = n => n.toLocaleString("en-US");

// The same characters that visible.py spells out: those without ink, but line breaks and tabs.
const INKLESS = /(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0\ufe00-\ufe0f\u{e0100}-\u{e01ef}]/gu;
const spelt = text => text.replace(INKLESS, found => `‹U+${found.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}›`);

const unpacked = async id => {
  const letters = atob(byId(id).textContent.trim());
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
};

// A table whose rows can be put in order by any column: its headers become buttons.
const sortable = table => {
  const body = table.tBodies[0];
  const headers = [...table.tHead.rows[0].cells];
  table.classList.add("sorts");
  headers.forEach((header, column) => {
    if (!header.hasAttribute("data-sort")) return;
    const button = node("button", "sorter", header.textContent);
    button.type = "button";
    header.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = header.getAttribute("aria-sort") !== "descending";
      headers.forEach(other => other.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", down ? "descending" : "ascending");
      body.append(...[...body.rows].sort((a, b) => compared(sortKey(a, column), sortKey(b, column), down)));
    });
  });
};

const sortKey = (row, column) => {
  const { value } = row.cells[column].dataset;
  if (value === undefined || value === "") return null;
  return Number.isNaN(Number(value)) ? value : Number(value);
};

// Nothing comes last, whichever way the rest is sorted.
const compared = (a, b, down) => {
  if (a === null || b === null) return (a === null) - (b === null);
  const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
  return down ? -order : order;
};

// Paper cannot be unfolded.
const printable = () => {
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    opened.forEach(fold => { fold.open = true; });
  });
  addEventListener("afterprint", () => {
    opened.forEach(fold => { fold.open = false; });
    opened = [];
  });
};
