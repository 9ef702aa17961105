// The overview: what needs somebody first, then how it goes as a whole, then by provider.

import { h } from './element.js';
import { firsts, house, may, recent, targetOf, total } from './house.js';
import { ago, count, dollars, duration, percent, rate } from './format.js';
import { minute, quantile, share } from './series.js';
import { sparkline } from './sparkline.js';
import { attention, badge, byTrouble, standingOf } from './standing.js';
import { changes } from './changes.js';
import { weight } from './providers.js';
import { heading, latency, panel, success, table } from './parts.js';

export const title = () => 'Overview';

const providersMax = 12; // beside those that need somebody
const troublesMax = 12;

export function view() {
  if (!house.entries.length) return [heading('Overview'), begin(), figures()];
  return [heading('Overview'), first(), figures(), byProvider(), panel('Latest changes of health', changes(house.transitions.slice(-8)))];
}

// begin says what to do where nothing has been done yet.
function begin() {
  return h('section', { class: 'panel first', 'aria-labelledby': 'attention' },
    h('h2', { id: 'attention' }, 'No provider is set up yet'),
    h('p', {}, 'aimux is running, and has nobody to send requests to.'),
    h('ol', { class: 'steps' },
      h('li', {}, may('operator') ? [h('a', { href: '#/providers' }, 'Add a provider'), ': its kind brings address, models and prices, so a key is all that it needs. '] : 'Have an operator add a provider. ',
        'Or at a terminal: ', h('code', {}, 'aimux provider set cerebras kind=cerebras api_key=env:CEREBRAS_API_KEY')),
      h('li', {}, 'Without a key at hand, try ', h('code', {}, 'aimux provider set demo kind=synthetic'), ': it answers as a model would, without one.'),
      h('li', {}, 'Point a client at a node', addresses(), ': it speaks Anthropic Messages and OpenAI Chat Completions.'),
      h('li', {}, h('a', { href: '#/routing' }, 'See where a request would go'), ', and give out keys on ', h('a', { href: '#/limits' }, 'Limits and keys'), '.')));
}

function addresses() {
  const known = house.nodes.filter((node) => node.live && node.heartbeat.address).slice(0, 3);
  return known.length ? [', at ', known.map((node, i) => [i > 0 && ', ', h('code', {}, node.heartbeat.address)])] : null;
}

function first() {
  const all = attention();
  const urgent = all.filter(({ standing }) => standing.rank > 0);
  const worst = Math.max(0, ...all.map(({ standing }) => standing.rank));
  const quiet = all.filter(({ standing }) => standing.rank === 0);
  const serving = house.entries.filter((entry) => entry.enabled).length;
  const live = house.nodes.filter((node) => node.live).length;
  const words = serving > 0 && house.entries.every((entry) => !entry.enabled || standingOf(targetOf(entry.id)?.state).rank > 1) ? 'No provider is well: requests go to the least bad'
    : urgent.length === 0 ? `All is well: ${plural(serving, 'provider')} and ${plural(live, 'node')} in service.`
    : `${urgent.length} ${urgent.length === 1 ? 'thing needs' : 'things need'} attention`;
  return h('section', { class: `panel first ${['first-well', 'first-warn'][worst] ?? 'first-bad'}`, 'aria-labelledby': 'attention' },
    h('h2', { id: 'attention' }, words),
    h('ul', { class: 'troubles' }, [...urgent, ...quiet].slice(0, troublesMax).map((one) => h('li', { key: one.what }, badge(one.standing),
      h('a', { class: 'what', href: one.href }, one.what), h('span', { class: 'why' }, one.why),
      one.since ? h('span', { class: 'since' }, `for ${ago(one.since)}`) : null))),
    all.length > troublesMax && h('p', { class: 'note' }, `and ${plural(all.length - troublesMax, 'thing')} more: `, h('a', { href: '#/providers' }, 'all providers'), ', ', h('a', { href: '#/nodes' }, 'all nodes')));
}

function plural(n, what) {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}

function figures() {
  const { series } = house;
  const lately = recent();
  const first = firsts(lately);
  const whole = lately.map(({ ms }) => ms);
  const spent = total(house.usage).cost;
  const flight = series.flight.last;
  return h('section', { class: 'figures', 'aria-label': 'Figures of the last minute' },
    figure('Requests / s', rate(series.rate.mean(10)), `${count(series.rate.sum(60))} last minute`, series.rate, 'accent'),
    figure('Success', percent(share(series.rate, series.failed, 60)), 'of the last minute', series.success, 'good', { to: 1, from: 0.9 }),
    figure('First token', duration(quantile(first, 0.5)), `p50; p95 ${duration(quantile(first, 0.95))}`, series.first, 'accent'),
    figure('Whole answer', duration(quantile(whole, 0.5)), `p50; p95 ${duration(quantile(whole, 0.95))}`, series.total, 'accent'),
    figure('Spend', dollars(spent), series.spend.mean(minute) === null ? 'so far' : `so far; ${dollars(series.spend.mean(minute))} / h`, series.spend, 'accent'),
    figure('In flight', count(flight ?? 0), 'requests now', series.flight, 'accent'));
}

function figure(name, value, note, series, tone, scale = {}) {
  return h('div', { class: 'figure' }, h('h3', {}, name), h('p', { class: 'value' }, value), h('p', { class: 'note' }, note),
    sparkline(series.values, { label: `${name}, lately`, tone, ...scale }));
}

function byProvider() {
  const all = byTrouble(house.entries);
  const ill = all.filter(({ standing }) => standing.rank > 0).length;
  const usage = Map.groupBy(house.usage, ({ provider }) => provider);
  const rows = all.slice(0, Math.min(ill, providersMax) + providersMax).map(({ entry, standing }) => {
    const mine = house.providers.get(entry.id);
    const used = total(usage.get(entry.id) ?? []);
    return { key: entry.id, cells: [
      h('a', { href: `#/providers/${entry.id}` }, entry.id), badge(standing), rate(mine?.rate.mean(5) ?? null), success(mine),
      latency(mine?.first.last, mine?.usual), weight(targetOf(entry.id)), dollars(used.cost),
      sparkline(mine?.rate.values ?? [], { label: `Attempts a second at ${entry.id}, lately` }),
    ] };
  });
  return panel('Providers', table('Providers', ['Provider', 'State', 'Attempts / s|n', 'Success|n', 'First token|n', 'Weight|n', 'Spend|n', 'Attempts lately'], rows),
    rows.length < all.length && h('p', {}, h('a', { href: '#/providers' }, `All ${count(all.length)} providers`)));
}
