// The list of providers.

import { h } from './element.js';
import { house, settingsOf, targetOf } from './house.js';
import { count, none, percent, rate } from './format.js';
import { gauge } from './sparkline.js';
import { badge, byTrouble } from './standing.js';
import { editProvider } from './provider-form.js';
import { button, heading, latency, pair, panel, success, table, why } from './parts.js';

export const title = () => 'Providers';

export function view() {
  const rows = byTrouble(house.entries);
  return [
    heading('Providers', button('Add a provider', () => editProvider(null), 'main')),
    panel('All providers', table('All providers', ['Provider', 'State', 'Why', 'Weight|n', 'In flight|n', 'Success|n', 'First token|n', 'Attempts / s|n'], rows.map(({ entry, standing }) => ({ key: entry.id, cells: row(entry, standing) })), 'No provider is set up yet: add the first.')),
  ];
}

function row(entry, standing) {
  const target = targetOf(entry.id);
  const mine = house.providers.get(entry.id);
  const name = settingsOf(entry.id).name;
  return [
    pair(h('a', { href: `#/providers/${entry.id}` }, entry.id), name !== entry.id && name),
    badge(standing), why(standing.why), weight(target), inFlight(entry.id),
    success(mine), latency(mine?.first.last, mine?.usual), rate(mine?.rate.mean(10) ?? null),
  ];
}

export function weight(target) {
  return target ? percent((target.weightPpm ?? 0) / 1e6) : none;
}

// inFlight is how many requests a provider has now, of how many it may have.
export function inFlight(id) {
  const now = house.health.targets.filter((target) => target.provider === id && target.model && !target.credential).reduce((sum, target) => sum + (target.inFlight ?? 0), 0);
  const cap = settingsOf(id).maxConcurrentRequests || settingsOf(id).limits?.maxConcurrentRequests;
  if (!cap) return count(now);
  return gauge(now / cap, `${now} of ${cap}`);
}
