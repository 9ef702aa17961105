// The overview: what needs somebody first, then how it goes as a whole, then by provider.

import { h } from './element.js';
import { firsts, house, recent, targetOf, total } from './house.js';
import { ago, count, dollars, duration, percent, rate } from './format.js';
import { quantile, share } from './series.js';
import { sparkline } from './sparkline.js';
import { attention, badge, byTrouble } from './standing.js';
import { changes } from './changes.js';
import { weight } from './providers.js';
import { heading, latency, panel, success, table } from './parts.js';

export const title = () => 'Overview';

export function view() {
  return [heading('Overview'), first(), figures(), byProvider(), panel('Latest changes of health', changes(house.transitions.slice(-8)))];
}

function first() {
  const all = attention();
  const urgent = all.filter(({ standing }) => standing.rank > 0);
  const worst = Math.max(0, ...all.map(({ standing }) => standing.rank));
  const quiet = all.filter(({ standing }) => standing.rank === 0);
  const serving = house.entries.filter((entry) => entry.enabled).length;
  const live = house.nodes.filter((node) => node.live).length;
  const words = urgent.length === 0 ? `All is well: ${plural(serving, 'provider')} and ${plural(live, 'node')} in service.`
    : `${urgent.length} ${urgent.length === 1 ? 'thing needs' : 'things need'} attention`;
  return h('section', { class: `panel first ${['first-well', 'first-warn'][worst] ?? 'first-bad'}`, 'aria-labelledby': 'attention' },
    h('h2', { id: 'attention' }, words),
    h('ul', { class: 'troubles' }, [...urgent, ...quiet].map((one) => h('li', { key: one.what }, badge(one.standing),
      h('a', { class: 'what', href: one.href }, one.what), h('span', { class: 'why' }, one.why),
      one.since ? h('span', { class: 'since' }, `for ${ago(one.since)}`) : null))));
}

function plural(n, what) {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}

function figures() {
  const { series } = house;
  const lately = recent();
  const first = firsts(lately);
  const whole = lately.map((request) => request.durationMs ?? 0);
  const spent = total(house.usage).cost;
  const flight = series.flight.last;
  return h('section', { class: 'figures', 'aria-label': 'Figures of the last minute' },
    figure('Requests / s', rate(series.rate.mean(10)), `${count(lately.length)} last minute`, series.rate, 'accent'),
    figure('Success', percent(share(series.rate, series.failed, 60)), 'of the last minute', series.success, 'good', { to: 1, from: 0.9 }),
    figure('First token', duration(quantile(first, 0.5)), `p50; p95 ${duration(quantile(first, 0.95))}`, series.first, 'accent'),
    figure('Whole answer', duration(quantile(whole, 0.5)), `p50; p95 ${duration(quantile(whole, 0.95))}`, series.total, 'accent'),
    figure('Spend', dollars(spent), series.spend.mean(60) === null ? 'so far' : `so far; ${dollars(series.spend.mean(60))} / h`, series.spend, 'accent'),
    figure('In flight', count(flight ?? 0), 'requests now', series.flight, 'accent'));
}

function figure(name, value, note, series, tone, scale = {}) {
  return h('div', { class: 'figure' }, h('h3', {}, name), h('p', { class: 'value' }, value), h('p', { class: 'note' }, note),
    sparkline(series.values, { label: `${name}, lately`, tone, ...scale }));
}

function byProvider() {
  const rows = byTrouble(house.entries).map(({ entry, standing }) => {
    const mine = house.providers.get(entry.id);
    const used = total(house.usage.filter((usage) => usage.provider === entry.id));
    return { key: entry.id, cells: [
      h('a', { href: `#/providers/${entry.id}` }, entry.id), badge(standing), rate(mine?.rate.mean(10) ?? null), success(mine),
      latency(mine?.first.last, mine?.usual), weight(targetOf(entry.id)), dollars(used.cost),
      sparkline(mine?.rate.values ?? [], { label: `Attempts a second at ${entry.id}, lately` }),
    ] };
  });
  return panel('Providers', table('Providers', ['Provider', 'State', 'Attempts / s|n', 'Success|n', 'First token|n', 'Weight|n', 'Spend|n', 'Attempts lately'], rows, h('span', {}, 'No provider is set up yet. ', h('a', { href: '#/providers' }, 'Add the first'))));
}
