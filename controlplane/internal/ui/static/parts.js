// Parts that several pages are made of.

import { h } from './element.js';
import { changed, may } from './house.js';
import { count, duration, none, percent } from './format.js';
import { minute, share } from './series.js';

// heading begins a page; the focus comes to it when the page is opened.
export function heading(text, ...beside) {
  return h('div', { class: 'top' }, h('h1', { tabindex: '-1' }, text), h('div', { class: 'beside' }, beside));
}

export function panel(title, ...inside) {
  const id = `panel-${title.toLowerCase().replace(/[^a-z]+/g, '-')}`;
  return h('section', { class: 'panel', 'aria-labelledby': id }, h('h2', { id }, title), inside);
}

const rowsMore = 50;
const opened = new Map(); // how many rows of a table the person wants to see, by its label

// table of rows {key, cells}; a head that ends in |n stands over numbers. It scrolls by itself where it is wider than the page. Of many rows it
// shows the first, and the others when they are asked for.
export function table(label, heads, rows, empty = 'Nothing yet.', first = rowsMore) {
  if (!rows.length) return h('p', { class: 'empty' }, empty);
  const most = opened.get(label) ?? first;
  if (rows.length <= most + 2) return drawn(label, heads, rows);
  const more = () => {
    opened.set(label, most + rowsMore);
    changed();
  };
  return [drawn(label, heads, rows.slice(0, most)), h('p', { class: 'more' }, button([`Show ${Math.min(rowsMore, rows.length - most)} more`, h('span', { class: 'unseen' }, ` of ${label}`)], more, 'small'),
    h('span', { class: 'note' }, `${count(most)} of ${count(rows.length)} are shown.`))];
}

function drawn(label, heads, rows) {
  const names = heads.map((head) => head.split('|'));
  return h('div', { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': label },
    h('table', {}, h('thead', {}, h('tr', {}, names.map(([name, kind]) => h('th', { scope: 'col', class: kind && 'num' }, name)))),
      h('tbody', {}, rows.map(({ key, cells, below }) => h('tr', { key, class: below && 'below' }, below ? h('td', { colspan: heads.length }, below)
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

// whole is a short text that is never broken.
export function whole(text) {
  return h('span', { class: 'whole' }, text);
}

// pair is a name with what belongs to it below, smaller.
export function pair(first, second) {
  return h('span', { class: 'pair', title: [first, second].filter((text) => text?.length > 40).join(' · ') || null }, h('span', {}, first), second ? h('span', { class: 'note' }, second) : null);
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
  const part = mine && share(mine.rate, mine.failed, minute);
  return part !== null && part < 0.95 ? h('span', { class: 'tone-bad' }, `▼ ${percent(part)}`) : percent(part);
}

// writing is a button for those who may do what takes a role, and nothing for others.
export function writing(role, ...rest) {
  return may(role) ? button(...rest) : null;
}

export function button(text, onclick, kind = '', more = {}) {
  return h('button', { type: 'button', class: kind, onclick, ...more }, text);
}

// search is a field to look for something with; found is called with the words, in small letters.
export function search(label, note, found) {
  const id = `search-${label.toLowerCase().replace(/[^a-z]+/g, '-')}`;
  return h('form', { class: 'filters', role: 'search', key: id, onsubmit: (event) => event.preventDefault() },
    h('div', { class: 'field' }, h('label', { for: id }, label), h('input', { id, type: 'search', autocomplete: 'off', placeholder: note, oninput: (event) => found(event.target.value.trim().toLowerCase()) })));
}

export function tags(words) {
  return words?.length ? h('span', { class: 'tags' }, words.map((word) => h('span', { class: 'tag' }, word))) : null;
}
