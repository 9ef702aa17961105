// Small pictures of numbers. Each says in words what it shows.

import { h } from './element.js';

const width = 160;
const height = 36;
const least = 60; // values over the whole width; fewer begin at the right end

// sparkline draws values from old to new, the newest at the right end; from is where its scale begins at the latest. Gaps stay gaps.
export function sparkline(values, { label, from = 0, to = null, tone = 'accent' }) {
  const there = values.filter((value) => value !== null);
  const low = Math.min(from, ...there);
  const high = Math.max(to ?? 0, low + 1e-9, ...there);
  const x = (i) => width * (1 - (values.length - 1 - i) / (Math.max(least, values.length) - 1));
  const y = (value) => height - 2 - ((value - low) / (high - low)) * (height - 5);
  const lines = runs(values).map((run) => run.map(([i, value], n) => `${n ? 'L' : 'M'}${x(i).toFixed(1)} ${y(value).toFixed(1)}`).join(''));
  const areas = runs(values).map((run, n) => `${lines[n]}L${x(run.at(-1)[0]).toFixed(1)} ${height}L${x(run[0][0]).toFixed(1)} ${height}Z`);
  return h('svg', { class: `spark tone-${tone}`, viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
    h('path', { class: 'spark-area', d: areas.join('') }),
    h('path', { class: 'spark-line', d: lines.join('') }));
}

// runs are the stretches without gaps, as [index, value].
function runs(values) {
  const all = [];
  let run = [];
  values.forEach((value, i) => {
    if (value !== null) run.push([i, value]);
    if ((value === null || i === values.length - 1) && run.length) {
      all.push(run);
      run = [];
    }
  });
  return all;
}

// bar shows a share of a whole; one that alarms is another colour when it is nearly full.
function bar(share, label, alarms) {
  const part = Math.max(0, Math.min(1, share || 0));
  return h('svg', { class: 'bar', viewBox: '0 0 100 8', preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
    h('rect', { class: 'bar-all', width: 100, height: 8, rx: 3 }),
    h('rect', { class: alarms && part > 0.9 ? 'bar-full' : 'bar-part', width: (100 * part).toFixed(1), height: 8, rx: 3 }));
}

// gauge is a bar with the words of what it shows beside it.
export function gauge(share, words, alarms = true) {
  return h('span', { class: 'gauge' }, bar(share, words, alarms), h('span', { 'aria-hidden': 'true', class: alarms && share > 0.9 ? 'tone-bad' : null }, words));
}

// strip shows what state held when: the worse, the higher and the redder. spans are {from, to, standing, words}, in milliseconds.
export function strip(spans, from, to, label) {
  const at = (ms) => ((Math.max(from, Math.min(to, ms)) - from) / (to - from)) * 600;
  return h('svg', { class: 'strip', viewBox: '0 0 600 44', preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
    spans.map(({ from: begin, to: end, standing, words }) => {
      const high = 10 + 8 * standing.rank;
      return h('rect', { class: `fill-${standing.level}`, x: at(begin).toFixed(1), y: 44 - high, width: Math.max(1.5, at(end) - at(begin)).toFixed(1), height: high }, h('title', {}, words));
    }));
}
