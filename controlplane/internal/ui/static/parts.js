// Parts that several pages are made of.

import { h } from './element.js';
import { duration, none, percent } from './format.js';
import { share } from './series.js';

// heading begins a page; the focus comes to it when the page is opened.
export function heading(text, ...beside) {
  return h('div', { class: 'top' }, h('h1', { tabindex: '-1' }, text), h('div', { class: 'beside' }, beside));
}

export function panel(title, ...inside) {
  const id = `panel-${title.toLowerCase().replace(/[^a-z]+/g, '-')}`;
  return h('section', { class: 'panel', 'aria-labelledby': id }, h('h2', { id }, title), inside);
}

// table of rows {key, cells}; a head that ends in |n stands over numbers. It scrolls by itself where it is wider than the page.
export function table(label, heads, rows, empty = 'Nothing yet.') {
  if (!rows.length) return h('p', { class: 'empty' }, empty);
  const names = heads.map((head) => head.split('|'));
  return h('div', { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': label },
    h('table', {}, h('thead', {}, h('tr', {}, names.map(([name, kind]) => h('th', { scope: 'col', class: kind && 'num' }, name)))),
      h('tbody', {}, rows.map(({ key, cells, whole }) => h('tr', { key, class: whole && 'more' }, whole ? h('td', { colspan: heads.length }, whole)
        : cells.map((cell, i) => h(i ? 'td' : 'th', { scope: i ? null : 'row', class: names[i][1] && 'num' }, cell)))))));
}

// facts lists names with what they are; what is empty is left out.
export function facts(pairs) {
  return h('dl', { class: 'facts' }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== '').map(([name, value]) => h('div', { key: name }, h('dt', {}, name), h('dd', {}, value))));
}

// why tells a reason, where there is one.
export function why(text) {
  return text ? h('span', { class: 'why' }, text) : none;
}

// pair is a name with what belongs to it below, smaller.
export function pair(first, second) {
  return h('span', { class: 'pair' }, h('span', {}, first), second ? h('span', { class: 'note' }, second) : null);
}

// latency is a provider's first token, in milliseconds, against what is usual for it; it is marked where it is much later.
export function latency(now, usual) {
  if (!now) return none;
  if (!usual) return duration(now);
  const late = now > 2 * usual && now > usual + 50;
  return pair(late ? h('span', { class: 'tone-warn' }, `▲ ${duration(now)}`) : duration(now), `usually ${duration(usual)}`);
}

// success of a provider's attempts in the last minute, marked where it is poor.
export function success(mine) {
  const part = mine && share(mine.rate, mine.failed, 60);
  return part !== null && part < 0.95 ? h('span', { class: 'tone-bad' }, `▼ ${percent(part)}`) : percent(part);
}

export function button(text, onclick, kind = '', more = {}) {
  return h('button', { type: 'button', class: kind, onclick, ...more }, text);
}

export function tags(words) {
  return words?.length ? h('span', { class: 'tags' }, words.map((word) => h('span', { class: 'tag' }, word))) : null;
}
