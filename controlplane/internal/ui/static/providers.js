// The list of providers.

import { h } from './element.js';
import { changed, house, settingsOf, targetOf } from './house.js';
import { count, none, percent, rate } from './format.js';
import { gauge } from './sparkline.js';
import { badge, byTrouble } from './standing.js';
import { editProvider } from './provider-form.js';
import { heading, latency, pair, panel, search, success, table, why, writing } from './parts.js';

export const title = () => 'Providers';

let wanted = '';

export function view() {
  const rows = byTrouble(house.entries).filter(fits);
  const few = house.entries.length < 8;
  return [
    heading('Providers', writing('operator', 'Add a provider', () => editProvider(null), 'main')),
    !few && search('Find a provider', 'id, name, model, region, state', (text) => { wanted = text; changed(); }),
    panel(few || !wanted ? 'All providers' : `${count(rows.length)} of ${count(house.entries.length)} providers`, table('All providers', ['Provider', 'State', 'Why', 'Weight|n', 'In flight|n', 'Success|n', 'First token|n', 'Attempts / s|n'], rows.map(({ entry, standing }) => ({ key: entry.id, cells: row(entry, standing) })),
      wanted ? 'None that fits.' : 'No provider is set up yet: add the first. Its kind brings address, models and prices; a key is all that it needs.')),
  ].filter(Boolean);
}

function fits({ entry, standing }) {
  const settings = settingsOf(entry.id);
  const words = [entry.id, settings.name, settings.kind, settings.region, standing.word, standing.why, ...(settings.models ?? []).map(({ id }) => id)];
  return !wanted || words.some((word) => word?.toLowerCase().includes(wanted));
}

function row(entry, standing) {
  const target = targetOf(entry.id);
  const mine = house.providers.get(entry.id);
  const name = settingsOf(entry.id).name;
  return [
    pair(h('a', { href: `#/providers/${entry.id}` }, entry.id), name !== entry.id && name),
    badge(standing), why(standing.rank > 0 || standing.level === 'off' ? standing.why : ''), weight(target), inFlight(entry.id),
    success(mine), latency(mine?.first.last, mine?.usual), rate(mine?.rate.mean(5) ?? null),
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
