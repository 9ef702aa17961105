// The page around the pages: which is shown, where the focus goes, whether what is shown is of now.

import { h, patch } from './element.js';
import { begin, house, refresh, soon, stale, transitionKey, watch, wish } from './house.js';
import { clock, duration } from './format.js';
import { attention, standingOf } from './standing.js';
import * as session from './session.js';
import * as overview from './overview.js';
import * as providers from './providers.js';
import * as provider from './provider.js';
import * as routing from './routing.js';
import * as nodes from './nodes.js';
import * as requests from './requests.js';
import * as limits from './limits.js';

const pages = [
  { href: '#/', name: 'Overview', page: overview },
  { href: '#/providers', name: 'Providers', page: providers },
  { href: '#/routing', name: 'Routing', page: routing },
  { href: '#/nodes', name: 'Nodes', page: nodes },
  { href: '#/limits', name: 'Limits and keys', page: limits },
  { href: '#/requests', name: 'Requests', page: requests },
];

const main = document.getElementById('main');

// here is the page that the address names, with what is behind its name.
function here() {
  const [, name = '', rest = ''] = location.hash.split('/');
  const found = pages.find(({ href }) => href === `#/${name}`) ?? pages[0];
  return { ...found, page: found.page === providers && rest ? provider : found.page, argument: decoded(rest) };
}

// decoded is a part of the address; one that is no text of anybody's stays as it is.
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function draw() {
  const { href, page, argument } = here();
  wish(page.question?.(argument));
  const urgent = attention().filter(({ standing }) => standing.rank > 0).length;
  patch(document.getElementById('nav'), pages.map((one) => h('a', { key: one.href, href: one.href, 'aria-current': one.href === href ? 'page' : null },
    one.name, one.href === '#/' && urgent > 0 && h('span', { class: 'number' }, urgent, h('span', { class: 'unseen' }, urgent === 1 ? ' thing needs attention' : ' things need attention')))));
  document.title = `${urgent ? `(${urgent}) ` : ''}${page.title(argument)} · aimux`;
  drawLink();
  if (house.locked) {
    document.title = 'Sign in · aimux';
    patch(main, session.view(house.locked, refresh));
    return;
  }
  patch(main, house.ready ? [...banner(), ...page.view(argument).map(keyed(page.title(argument)))] : [h('p', { key: 'wait', class: 'wait' }, house.trouble ? `Not connected: ${house.trouble}.` : 'Asking…')]);
}

// keyed keeps one page's parts from becoming another's.
function keyed(title) {
  return (part, i) => ({ ...part, props: { key: `${title} ${i}`, ...part.props } });
}

function drawLink() {
  const late = house.ready && stale();
  document.body.classList.toggle('stale', late);
  const { standing } = house;
  const text = house.locked ? 'Signed out' : late ? lateness() : house.ready ? `Live from ${standing.control_plane}${standing.leading ? ', the leader' : `; ${standing.leader} leads`}` : 'Connecting…';
  const line = h('span', { class: house.locked ? 'link-out' : late ? 'link-late' : 'link-live' }, h('span', { class: 'dot', 'aria-hidden': 'true' }), text);
  patch(document.getElementById('link'), [line]);
}

function lateness() {
  return `Not connected: ${house.trouble || 'no answer'}. Shown is what was at ${clock(house.heard)}, ${duration(Date.now() - house.heard)} ago.`;
}

// banner says in plain sight what the link says to everybody else.
function banner() {
  return stale() ? [h('p', { key: 'banner', class: 'banner', 'aria-hidden': 'true' }, lateness())] : [];
}

let told = null;

// announce reads changes of health out to those who cannot see them.
function announce() {
  const latest = house.transitions.at(-1);
  const key = latest && transitionKey(latest);
  if (told !== null && key && key !== told) {
    patch(document.getElementById('news'), [`${latest.provider} ${latest.model ?? ''}: ${standingOf(latest.to).word}. ${latest.reason ?? ''}`]);
  }
  if (house.ready) told = key ?? '';
}

window.addEventListener('hashchange', () => {
  if (session.arrive()) refresh();
  draw();
  soon();
  window.scrollTo(0, 0);
  main.querySelector('h1')?.focus();
});
session.arrive();
watch(draw);
watch(announce);
draw();
begin();
