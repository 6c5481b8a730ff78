"""Style and script of the HTML pages, kept as text so that a page is one file."""

STYLE = """
:root { --paper: #fff; --ink: #1c2128; --soft: #5d6875; --line: #dde2e8; --wash: #f5f7f9;
  --blue: #2f6db5; --grey: #a9b4c0; --ok: #227a4b; --ok-wash: #e6f4ec; --warning: #8a5a00;
  --warning-wash: #fdf1d8; --alarm: #b3261e; --alarm-wash: #fce8e6; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14181d; --ink: #e4e8ec; --soft: #9aa5b1; --line: #313842; --wash: #1c2229;
    --blue: #6ba6ea; --grey: #5b6673; --ok: #6fce9b; --ok-wash: #17301f; --warning: #e9bb5b;
    --warning-wash: #36290f; --alarm: #ff8f86; --alarm-wash: #411a17; } }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 14px/1.5 system-ui,
  -apple-system, "Segoe UI", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC",
  "WenQuanYi Micro Hei", sans-serif; }
main { max-width: 1280px; margin: 0 auto; padding: 20px 24px 60px; }
h1 { font-size: 24px; margin: 0 0 4px; }
h2 { font-size: 18px; margin: 36px 0 8px; }
h1 small, h2 small { font-weight: 400; color: var(--soft); font-size: 14px; }
h1 small { font-size: 17px; }
h2 code { font-size: 16px; font-weight: 600; }
small { color: var(--soft); font-size: 12px; }
p { margin: 4px 0 12px; max-width: 82ch; }
a { color: var(--blue); }
code { font: 12.5px/1.4 ui-monospace, Consolas, "Liberation Mono", monospace;
  overflow-wrap: anywhere; }
.lead { color: var(--soft); max-width: none; }
.lead span { display: inline-block; margin-right: 18px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(118px, 1fr)); gap: 10px;
  margin: 16px 0; }
.tile { border: 1px solid var(--line); border-left: 4px solid var(--grey); border-radius: 6px;
  padding: 8px 12px; background: var(--wash); }
.tile strong { display: block; font-size: 22px; line-height: 1.25; }
.tile.ok { border-left-color: var(--ok); }
.tile.warning { border-left-color: var(--warning); }
.tile.alarm { border-left-color: var(--alarm); }
.badge { display: inline-block; border-radius: 10px; padding: 0 8px; font-size: 12px;
  white-space: nowrap; background: var(--wash); color: var(--soft); }
.badge.ok { background: var(--ok-wash); color: var(--ok); }
.badge.warning { background: var(--warning-wash); color: var(--warning); font-weight: 600; }
.badge.alarm { background: var(--alarm-wash); color: var(--alarm); font-weight: 600; }
.findings { list-style: none; margin: 8px 0; padding: 0; }
.findings li { padding: 6px 0; border-bottom: 1px solid var(--line); }
.findings .badge { margin-right: 8px; }
.toolbar { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: 8px 14px;
  align-items: center; background: var(--paper); border-bottom: 1px solid var(--line);
  padding: 10px 0; margin: 16px 0 0; }
.toolbar input { flex: 1 1 260px; min-width: 0; }
.toolbar label { display: flex; align-items: center; gap: 6px; white-space: nowrap; }
.toolbar input, .toolbar select { font: inherit; color: var(--ink); background: var(--wash);
  border: 1px solid var(--line); border-radius: 6px; padding: 6px 10px; max-width: 100%; }
#count { color: var(--soft); white-space: nowrap; font-variant-numeric: tabular-nums; }
table { width: 100%; table-layout: fixed; border-collapse: collapse;
  font-variant-numeric: tabular-nums; }
th { text-align: left; font-size: 12px; font-weight: 600; color: var(--soft);
  border-bottom: 1px solid var(--line); padding: 6px 10px 6px 0; vertical-align: bottom; }
td { border-bottom: 1px solid var(--line); padding: 7px 10px 7px 0; vertical-align: top; }
th.number, td.number { text-align: right; padding-right: 18px; }
td > div { overflow-wrap: anywhere; }
td.title code { font-size: 13px; font-weight: 600; }
th:last-child, td:last-child { padding-right: 0; }
td small, code.line { display: block; }
summary { cursor: pointer; width: max-content; }
summary small { display: inline !important; }
td .inline small, td span > small { display: inline; }
.nowrap { white-space: nowrap; }
.share { display: inline-flex; align-items: center; gap: 8px; white-space: nowrap; }
.share svg { width: 64px; height: 8px; flex: none; }
.narrow { gap: 6px; }
.narrow svg { width: 44px; }
.track { fill: var(--line); }
.fill { fill: var(--blue); }
.before .fill { fill: var(--grey); }
.missing .fill { fill: var(--warning); }
.histogram { display: block; width: 150px; height: 32px; fill: var(--blue); }
.histogram .base { fill: var(--grey); }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr)); gap: 18px; }
.charts figure { margin: 0; min-width: 0; }
.charts svg { display: block; width: 100%; max-width: 270px; border: 1px solid var(--line); }
.charts figcaption small { display: block; }
.charts line { stroke: var(--line); }
.charts circle { fill: var(--blue); }
.charts circle.before { fill: var(--grey); }
.drift { margin: 6px 0 4px; display: grid; grid-template-columns: minmax(90px, max-content) 1fr 1fr;
  gap: 2px 14px; max-width: 760px; align-items: center; }
.drift .share { display: flex; }
.drift .share svg { flex: 1 1 0; width: 0; min-width: 20px; }
.drift .share span { min-width: 58px; text-align: right; }
.drift b { font-size: 12px; color: var(--soft); font-weight: 600; }
tr.detail td { border-top: 0; padding-top: 0; }
tr.with-detail td { border-bottom: 0; }
.matrix { margin-bottom: 4px; }
.matrix th { font-size: 11px; padding-right: 4px; }
.matrix td { padding-right: 4px; }
.matrix .badge { padding: 0 6px; }
.matrix .best { outline: 2px solid var(--ok); }
.matrix details { margin: 0 0 6px; }
.matrix summary { width: auto; }
.items { margin: 6px 0 10px; font-size: 12.5px; background: var(--wash); }
.items th, .items td { padding-left: 8px; }
.items td { border-bottom: 1px solid var(--line) !important; padding-top: 7px !important; }
@media (max-width: 760px) {
  main { padding: 14px 14px 40px; }
  .toolbar { gap: 8px; }
  .toolbar input { flex-basis: 100%; }
  .toolbar label { flex: 1 1 100%; min-width: 0; }
  .toolbar select { min-width: 0; flex: 1; }
  table, tbody, tr, td { display: block; width: 100%; }
  thead, colgroup { display: none; }
  tr { border-bottom: 1px solid var(--line); padding: 8px 0; }
  tr.with-detail { border-bottom: 0; }
  td, td.number { border: 0; padding: 2px 0; display: flex; gap: 12px;
    justify-content: space-between; }
  td > div, td.number > div { text-align: right; min-width: 0; overflow-wrap: anywhere;
    white-space: normal; }
  td::before { content: attr(data-label); color: var(--soft); font-size: 12px; flex: 0 1 auto; }
  td.empty { display: none; }
  td.title, tr.detail td { display: block; }
  td.title > div, tr.detail td > div { text-align: left; }
  td.title::before, tr.detail td::before { content: none; }
  .histogram { margin-left: auto; }
  .drift { grid-template-columns: minmax(0, max-content) minmax(0, 1fr) minmax(0, 1fr);
    gap: 2px 8px; }
  .drift > span { overflow-wrap: anywhere; }
  .drift .share { gap: 4px; }
}
@media print { .toolbar { display: none; } tr { break-inside: avoid; } }
"""

SCRIPT = """
"use strict";
(() => {
  const rows = [...document.querySelectorAll("[data-text]")];
  const controls = [...document.querySelectorAll("[data-control]")];
  const form = document.querySelector(".toolbar");
  if (!form) return;
  const count = document.getElementById("count");
  const home = new Map(rows.map((row, place) => [row, place]));
  const plain = (text) => text.normalize("NFKC").toLowerCase();
  const texts = new Map(rows.map((row) => [row, plain(row.dataset.text)]));

  function fromAddress() {
    const state = new URLSearchParams(location.hash.slice(1));
    for (const control of controls) {
      control.value = state.get(control.name) || "";
      if (control.selectedIndex === -1) control.value = "";
    }
    show();
  }

  function toAddress() {
    const state = new URLSearchParams();
    for (const control of controls) if (control.value) state.set(control.name, control.value);
    history.replaceState(null, "", "#" + state);
    show();
  }

  function show() {
    const words = plain(controls.find((one) => one.name === "q").value).split(/\\s+/);
    const lists = controls.filter((one) => one.value && !["q", "sort"].includes(one.name));
    let shown = 0;
    for (const row of rows) {
      const fits = words.every((word) => texts.get(row).includes(word))
        && lists.every((list) => row.dataset[list.name] === list.value);
      row.hidden = !fits;
      shown += fits;
      const detail = row.nextElementSibling;
      if (detail && detail.matches(".detail")) detail.hidden = !fits;
    }
    for (const section of document.querySelectorAll("[data-section]"))
      section.hidden = !section.querySelector("[data-text]:not([hidden])");
    count.value = shown.toLocaleString("en") + " / " + rows.length.toLocaleString("en");
    sort((controls.find((one) => one.name === "sort") || { value: "" }).value);
  }

  function sort(key) {
    const size = (row) => row.dataset[key] === undefined ? -Infinity : Number(row.dataset[key]);
    const order = (one, other) =>
      (key && size(other) - size(one) || 0) || home.get(one) - home.get(other);
    for (const body of document.querySelectorAll("tbody[data-sorted]"))
      body.append(...[...body.children].sort(order));
  }

  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", toAddress);
  addEventListener("hashchange", fromAddress);
  fromAddress();
})();
"""
