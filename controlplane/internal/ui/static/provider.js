// One provider: how it stands, why, since when, and what an operator may do about it.

import { h } from './element.js';
import { call, now as time } from './rpc.js';
import { endedAt, house, settingsOf, targetOf, total, transitionKey, wentWrong } from './house.js';
import { ago, clock, count, dollars, duration, moment, none, percent } from './format.js';
import { sparkline, strip } from './sparkline.js';
import { badge, overrideOf, providerStanding, standingOf } from './standing.js';
import { changes } from './changes.js';
import { inFlight, weight } from './providers.js';
import { clearOverride, override } from './override.js';
import { deleteProvider, editProvider } from './provider-form.js';
import { facts, heading, latency, panel, success, table, why, writing } from './parts.js';

const span = 15 * 60e3; // milliseconds of the timeline
const lanesMax = 6;

export const title = (id) => id;

// past is what was asked of the provider's past: its changes of health, and its latest requests with a failure on the way.
const past = { id: '', transitions: [], requests: [] };

// question asks for the past of the provider that is shown.
export const question = (id) => async () => {
  const [told, troubled] = await Promise.all([
    call('HealthService/ListTransitions', { provider: id, sinceUnixMs: String(time() - 2 * span), pageSize: 200 }), call('UsageService/ListRequests', { filter: { provider: id, troubled: true }, limit: 200 }),
  ]);
  Object.assign(past, { id, transitions: told.transitions ?? [], requests: troubled.requests ?? [] });
};

export function view(id) {
  const entry = house.entries.find((one) => one.id === id);
  if (!entry) return [heading(id), h('p', {}, 'There is no such provider. ', h('a', { href: '#/providers' }, 'All providers'))];
  const told = [...(past.id === id ? past.transitions : []), ...house.transitions.filter((one) => one.provider === id)];
  const mine = [...new Map(told.map((one) => [transitionKey(one), one])).values()].sort((a, b) => Number(a.atUnixMs) - Number(b.atUnixMs));
  return [
    heading(id, actions(entry)),
    summary(entry),
    panel('Timeline', timeline(entry, mine), changes(mine.slice(-20), `No change of ${id}'s health has been seen.`)),
    panel('Failures by kind', failures(id), h('p', {}, h('a', { href: `#/requests/${encodeURIComponent(`provider=${id}&troubled=1`)}` }, 'Its requests with a failure on the way'))),
    panel('Models and keys', parts(entry)),
    panel('Settings', h('pre', { class: 'json', tabindex: '0', 'aria-label': `Settings of ${id}` }, JSON.stringify(entry.provider ?? {}, null, 2))),
  ];
}

function actions(entry) {
  const { id } = entry;
  return [
    overrideOf(id) && writing('operator', 'Clear the override', () => clearOverride(id), 'main'),
    writing('operator', 'Drain', () => override(id, 'drain')),
    writing('operator', 'Force open', () => override(id, 'open')),
    writing('operator', 'Force closed', () => override(id, 'closed')),
    writing('operator', 'Edit', () => editProvider(entry)),
    writing('operator', 'Delete', () => deleteProvider(id), 'danger'),
  ];
}

function summary(entry) {
  const { id } = entry;
  const standing = providerStanding(entry);
  const settings = settingsOf(id);
  const held = overrideOf(id);
  const mine = house.providers.get(id);
  const used = total(house.usage.filter((one) => one.provider === id));
  const breaker = settings.breaker ?? {};
  return h('section', { class: 'panel', 'aria-label': 'How it stands' },
    h('p', { class: 'verdict' }, badge(standing), h('span', { class: 'why' }, standing.why), standing.since ? h('span', { class: 'since' }, `for ${ago(standing.since)}`) : null),
    held && h('p', { class: 'held' }, `An operator's word holds (${held.state}${held.reason ? `: ${held.reason}` : ''}), `, Number(held.expiresUnixMs ?? 0) ? `until ${clock(Number(held.expiresUnixMs))}.` : 'until it is cleared.'),
    facts([
      ['Weight', weight(targetOf(id))], ['In flight', inFlight(id)],
      ['Success, last minute', success(mine)],
      ['First token', mine && trend(latency(mine.first.last, mine.usual), mine.first, `First token at ${id}, lately`)],
      ['Usual first token', mine?.usual ? null : `${duration(settings.avgResponseTimeMs || null)}, by its settings`],
      ['Attempts', trend(`${count(used.requests)}, ${count(used.failures)} failed`, mine?.rate, `Attempts a second at ${id}, lately`)],
      ['Tokens', `${count(used.input)} in, ${count(used.output)} out`], ['Spend', dollars(used.cost)],
      ['Circuit', breaker.maxFailures ? `opens after ${breaker.maxFailures} failures, closes after ${breaker.closeAfter} successes` : null],
      ['Kind', [settings.kind, settings.protocol].filter(Boolean).join(', speaks ')], ['Address', settings.baseUrl], ['Region', settings.region],
    ]));
}

function trend(text, series, label) {
  return h('span', { class: 'trend' }, text, series && sparkline(series.values, { label }));
}

// timeline has a lane for each model that changed, or one for the provider as a whole.
function timeline(entry, mine) {
  const lanes = Map.groupBy(mine.filter((one) => !one.credential), (one) => one.model ?? '');
  if (!lanes.size) lanes.set('', []);
  return h('div', { class: 'timeline' }, [...lanes].slice(-lanesMax).map(([model, changed]) => lane(entry, model, changed)),
    h('p', { class: 'axis', 'aria-hidden': 'true' }, h('span', {}, '15 min ago'), h('span', {}, 'now')));
}

function lane(entry, model, changed) {
  const now = time();
  const spans = changed.map((one, i) => ({ from: Number(one.atUnixMs), to: Number(changed[i + 1]?.atUnixMs ?? now), standing: standingOf(one.to), why: one.reason }));
  if (spans.length) spans.unshift({ from: now - span, to: spans[0].from, standing: standingOf(changed[0].from).rank > 0 ? untold : standingOf(changed[0].from) });
  else spans.push({ from: Number(providerStanding(entry).since ?? now), to: now, standing: providerStanding(entry) });
  const held = targetOf(entry.id, model);
  if (changed.length && held && held.state !== changed.at(-1).to) { // how it came there is not remembered
    spans.at(-1).to = Math.max(spans.at(-1).from, Math.min(now, Number(held.sinceUnixMs ?? now)));
    spans.push({ from: spans.at(-1).to, to: now, standing: standingOf(held.state) });
  }
  const shown = spans.filter((one) => one.to > now - span).map((one) => ({ ...one, words: `${one.standing.word} from ${clock(Math.max(one.from, now - span))} to ${clock(one.to)}. ${one.why ?? ''}` }));
  const name = [entry.id, model].filter(Boolean).join('/');
  const words = shown.slice(-6).map((one) => `${one.standing.word} from ${clock(one.from)}`).join(', ');
  return h('div', { class: 'lane', key: model }, h('p', { class: 'note' }, name), strip(shown, now - span, now, `${name} over the last 15 minutes: ${words}`));
}

// untold is how it stood before the first change that is remembered, where that began with it being ill: since when is not known.
const untold = { word: 'Not known', level: 'off', rank: 0 };

// failures are of the requests that the control plane remembers.
function failures(id) {
  const kinds = new Map();
  for (const request of past.id === id ? past.requests : []) {
    for (const attempt of request.attempts ?? []) {
      if (attempt.target?.provider !== id || !wentWrong(attempt)) continue;
      const kind = kinds.get(attempt.fault) ?? { n: 0 };
      kinds.set(attempt.fault, { n: kind.n + 1, status: attempt.status, detail: attempt.detail || kind.detail, at: endedAt(request) });
    }
  }
  const rows = [...kinds].sort(([, a], [, b]) => b.n - a.n).map(([kind, { n, status, detail, at }]) => ({ key: kind, cells: [kind, count(n), status || none, moment(at), detail || none] }));
  return table('Failures by kind', ['Kind', 'Attempts|n', 'Status|n', 'Latest', "The provider's words"], rows, 'None among the requests that are remembered.');
}

function parts({ id }) {
  const targets = house.health.targets.filter((target) => target.provider === id && (target.model || target.credential));
  return table('Models and keys', ['Model or key', 'State', 'Why', 'Weight|n', 'Success|n', 'First token|n', 'In flight|n'], targets.map((target) => ({
    key: `${target.model}|${target.credential}`,
    cells: [[target.model, target.credential && `key ${target.credential}`].filter(Boolean).join(', '), badge(standingOf(target.state)), why(target.reason), weight(target),
      target.successPpm ? percent(target.successPpm / 1e6) : none, latency(target.firstTokenMs, target.usualFirstTokenMs), count(target.inFlight ?? 0)],
  })), 'Nothing is known of its models yet.');
}
