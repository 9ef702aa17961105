// How providers, models and nodes stand, in words, and what needs a person first. Colour is never the only sign: each standing has a
// word and a shape of its own.

import { h } from './element.js';
import { house, settingsOf, targetOf } from './house.js';
import { duration, percent } from './format.js';
import { now } from './rpc.js';
import { minute, share } from './series.js';

// standings by the API's name: word, level (which shape and colour) and rank (how bad).
const standings = {
  STATE_HEALTHY: { word: 'Healthy', level: 'good', rank: 0 },
  STATE_DEGRADED: { word: 'Degraded', level: 'warn', rank: 1 },
  STATE_HALF_OPEN: { word: 'Half open', level: 'warn', rank: 1 },
  STATE_UNHEALTHY: { word: 'Unhealthy', level: 'bad', rank: 2 },
  STATE_CIRCUIT_OPEN: { word: 'Circuit open', level: 'bad', rank: 2 },
};
const failing = { word: 'Failing', level: 'warn', rank: 1 };
const partly = { word: 'Partly out', level: 'warn', rank: 1 };
const unknown = { word: 'Unknown', level: 'off', rank: 0 };
const words = { drain: 'Draining', open: 'Forced open', closed: 'Forced closed' };

export function standingOf(state) {
  return standings[state] ?? unknown;
}

// overrideOf is the operator's word on a provider while it holds, or null.
export function overrideOf(id) {
  const override = settingsOf(id).override;
  const expires = Number(override?.expiresUnixMs ?? 0);
  return override?.state && (!expires || expires > now()) ? override : null;
}

// providerStanding is how a provider stands and why.
export function providerStanding(entry) {
  if (!entry.enabled) return { word: 'Disabled', level: 'off', rank: 0, why: entry.disabledReason ?? '' };
  const target = targetOf(entry.id) ?? {};
  const override = overrideOf(entry.id);
  if (override) return { word: words[override.state], level: 'held', rank: 1, why: target.reason ?? override.reason ?? '', since: target.sinceUnixMs };
  const standing = standingOf(target.state);
  if (standing.rank > 0) return { ...standing, why: causeOf(entry.id) || target.reason || '', since: target.sinceUnixMs };
  const out = partsOf(entry.id).find((part) => standingOf(part.state).rank > 1);
  if (out) return { ...partly, why: causeOf(entry.id) || out.reason || '', since: out.sinceUnixMs };
  const part = shareLately(entry.id);
  if (part !== null && part < 0.9) return { ...failing, why: `only ${percent(part)} of its attempts in the last minute went well` };
  return { ...standing, why: target.reason ?? '', since: target.sinceUnixMs };
}

// partsOf are a provider's models and keys.
function partsOf(id) {
  return house.health.targets.filter((target) => target.provider === id && (target.model || target.credential));
}

const enough = 5; // attempts that say something

// shareLately is how much of a provider's attempts of the last minute went well; null if there were too few.
function shareLately(id) {
  const mine = house.providers.get(id);
  const attempts = mine?.rate.values.slice(-minute).reduce((sum, value) => sum + (value ?? 0) * (60 / minute), 0);
  return attempts >= enough ? share(mine.rate, mine.failed, minute) : null;
}

// causeOf is what was last seen to go wrong with a provider's models that are not well, and when they are tried again; empty if it is not in
// their transitions.
function causeOf(id) {
  const ill = partsOf(id).filter((target) => standingOf(target.state).rank > 0).map((target) => target.model);
  const seen = house.transitions.findLast((one) => one.provider === id && one.model && ill.includes(one.model) && one.to !== 'STATE_HALF_OPEN' && standingOf(one.to).rank > 0);
  if (!seen) return '';
  const due = house.health.targets.filter((target) => target.provider === id && target.state === 'STATE_CIRCUIT_OPEN').map((target) => Number(target.retryUnixMs ?? 0)).filter((at) => at > now());
  return `${seen.model}: ${seen.reason?.replace(/; next probe in .*/, '')}${due.length ? `; next probe in ${duration(Math.min(...due) - now())}` : ''}`;
}

const shapes = {
  good: [['circle', { cx: 6, cy: 6, r: 5 }]],
  warn: [['path', { d: 'M6 .8 11.6 11H.4Z' }]],
  bad: [['path', { d: 'M3.6.5h4.8l3.1 3.1v4.8l-3.1 3.1H3.6L.5 8.4V3.6Z' }], ['path', { class: 'cut', d: 'M4 4l4 4M8 4l-4 4' }]],
  held: [['rect', { x: 1.5, y: 1, width: 3.4, height: 10, rx: 1 }], ['rect', { x: 7.1, y: 1, width: 3.4, height: 10, rx: 1 }]],
  off: [['circle', { class: 'ring', cx: 6, cy: 6, r: 4.2 }]],
};

// badge shows a standing as shape and word.
export function badge({ word, level }) {
  return h('span', { class: `badge tone-${level}` }, h('svg', { class: 'shape', viewBox: '0 0 12 12', 'aria-hidden': 'true' }, shapes[level].map(([tag, props]) => h(tag, props))), word);
}

// byTrouble sorts entries of providers: those that need somebody first, then by name.
export function byTrouble(entries) {
  return entries.map((entry) => ({ entry, standing: providerStanding(entry) })).sort((a, b) => b.standing.rank - a.standing.rank || a.entry.id.localeCompare(b.entry.id));
}

// attention is all that somebody should look at, worst first: {standing, what, why, since, href}.
export function attention() {
  const all = [...house.entries.flatMap(providerTrouble), ...house.nodes.flatMap(nodeTrouble)];
  for (const line of house.standing.trouble ?? []) all.push({ standing: { word: 'Control plane', level: 'bad', rank: 2 }, what: 'control plane', why: line, href: '#/nodes' });
  if (house.ready && !house.nodes.some((node) => node.live)) all.push({ standing: { word: 'No node', level: 'bad', rank: 3 }, what: 'nodes', why: 'no node has been heard for 3 s: nobody serves, as far as is known here', href: '#/nodes' });
  return all.sort((a, b) => b.standing.rank - a.standing.rank || a.what.localeCompare(b.what));
}

function providerTrouble(entry) {
  const href = `#/providers/${entry.id}`;
  const standing = providerStanding(entry);
  if (standing.level !== 'good') {
    const why = standing.level === 'off' && !standing.why ? 'switched off' : standing.why;
    return [{ standing, what: entry.id, why, since: standing.since, href }];
  }
  return partsOf(entry.id).flatMap((target) => {
    const part = standingOf(target.state);
    const what = `${entry.id} ${target.model ?? ''}${target.credential ? ` key ${target.credential}` : ''}`;
    if (part.rank > 0) return [{ standing: part, what, why: target.reason, since: target.sinceUnixMs, href }];
    if (!target.successPpm || target.successPpm > 900e3) return [];
    const share = target.weightPpm < 1e6 ? `; it gets ${percent(target.weightPpm / 1e6)} of its usual share` : '';
    return [{ standing: failing, what, why: `only ${percent(target.successPpm / 1e6)} of its answers are good${share}`, since: null, href }];
  });
}

function nodeTrouble(node) {
  const { heartbeat } = node;
  const standing = nodeStanding(node);
  return standing.level === 'good' ? [] : [{ standing, what: heartbeat.node, why: standing.why, since: null, href: '#/nodes' }];
}

// nodeStanding is how a node stands and why.
export function nodeStanding({ heartbeat, live, lastHeardUnixMs, drift, outlier }) {
  if (!live) return { word: 'Silent', level: 'bad', rank: 2, why: `not heard for ${duration(now() - Number(lastHeardUnixMs))}` };
  if (heartbeat.nack) return { word: 'Refuses', level: 'bad', rank: 2, why: `revision ${heartbeat.nack.configRevision}: ${[heartbeat.nack.path, heartbeat.nack.reason].filter(Boolean).join(' ')}` };
  if ((heartbeat.stalenessMs ?? 0) > 1000) return { word: 'Stale', level: 'warn', rank: 1, why: `it has heard no health for ${duration(heartbeat.stalenessMs)}` };
  if (Number(drift ?? 0) > 0) return { word: 'Behind', level: 'warn', rank: 1, why: `${drift} revisions behind` };
  if (heartbeat.limitsAlone) return { word: 'On its own', level: 'warn', rank: 1, why: 'it does not reach Redis: limits go by its own part of each' };
  if (outlier) return { word: 'Outlier', level: 'warn', rank: 1, why: 'its view differs from all others: the trouble is its own' };
  if (heartbeat.draining) return { word: 'Draining', level: 'held', rank: 1, why: 'it is being stopped' };
  return { word: 'In step', level: 'good', rank: 0, why: '' };
}
