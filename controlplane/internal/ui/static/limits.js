// Limits and keys: how far limits are used, who uses most, and who may call at all. Asked for only while the page is shown.

import { h } from './element.js';
import { call } from './rpc.js';
import { changed, house, may } from './house.js';
import { ask, complaint, field } from './dialog.js';
import { draft } from './draft.js';
import { clock, count, dollars, moment, none, percent } from './format.js';
import { gauge } from './sparkline.js';
import { heading, panel, search, table, tags, writing } from './parts.js';

const pace = 3000; // milliseconds between two askings
const wait = 30e3;
const top = 10;

export const title = () => 'Limits and keys';

const known = { asked: 0, uses: [], limits: [], keys: [], teams: [], sums: [], recorded: 0, trouble: null };

// load asks for everything on the page; what is refused to this token is told in its place.
async function load() {
  known.asked = Date.now();
  const today = new Date().toISOString().slice(0, 10);
  try {
    const [uses, limits, keys, teams, sums] = await Promise.all([
      call('LimitService/ListUses', { top: 50 }), call('LimitService/ListLimits'), call('KeyService/ListKeys'), call('KeyService/ListTeams'),
      call('LedgerService/SumUsage', { by: ['key', 'team'], since: today, top }),
    ]);
    Object.assign(known, {
      uses: uses.uses ?? [], limits: limits.limits ?? [], keys: keys.keys ?? [], teams: teams.teams ?? [], sums: sums.sums ?? [], recorded: Number(sums.recordedUnixMs ?? 0), trouble: null,
    });
  } catch (error) {
    known.trouble = error;
  }
  changed();
}

async function reload() {
  known.asked = 0;
  await load();
}

export function view() {
  if (!house.locked && Date.now() - known.asked > pace) load();
  return [
    heading('Limits and keys', writing('operator', 'Set a limit', () => editLimit('', {})), writing('operator', 'Create a key', createKey, 'main')),
    known.trouble && h('div', { class: 'refused', role: 'alert' }, complaint(known.trouble)),
    panel('How far limits are used', table('How far limits are used', ['Limit', 'What', 'Used', 'Of|n', 'Left|n', 'Refused|n'], known.uses.map(use), 'No limit is in use: none is set, or no node has told yet.', top)),
    panel('Top consumers of today', table('Top consumers of today', ['Key', 'Team', 'Requests|n', 'Failed|n', 'Tokens in|n', 'Tokens out|n', 'Spend|n'], known.sums.map(consumer), 'Nobody has used anything today.'),
      known.recorded > 0 && h('p', { class: 'note' }, `Of requests until ${clock(known.recorded)}, by days of UTC.`)),
    panel('Client keys', known.keys.length > 8 && search('Find a key', 'id, name, team, state', (text) => { wanted = text; changed(); }),
      table('Client keys', ['Key', 'Name', 'State', 'Team', 'May use', 'Limits', 'Expires', may('operator') && 'Action'].filter(Boolean), known.keys.filter(fits).map(key),
        wanted ? 'None that fits.' : 'There is no client key: whoever reaches a node’s loopback address may call it.', 2 * top)),
    panel('All limits', table('All limits', ['Of', 'Limits', may('operator') && 'Action'].filter(Boolean), known.limits.map(limit), 'No limit is set.', 2 * top)),
  ].filter(Boolean);
}

let wanted = '';

function fits({ id, key: one = {}, state }) {
  return !wanted || [id, one.name, one.team, state].some((word) => word?.toLowerCase().includes(wanted));
}

const words = { in_flight: 'requests at once', requests: 'requests a minute', tokens: 'tokens a minute', input_tokens: 'input tokens a minute', output_tokens: 'output tokens a minute', dollars_per_day: 'dollars a day', dollars_per_month: 'dollars a month' };

function amount(what, n) {
  return what.startsWith('dollars') ? dollars(n) : count(n);
}

function use(one) {
  const share = one.limit ? (one.used ?? 0) / one.limit : 0;
  const said = `${amount(one.what, one.used ?? 0)} (${percent(Math.min(share, 9.99))})`;
  return { key: `${one.scope} ${one.what}`, cells: [
    one.scope, words[one.what] ?? one.what, gauge(share, said),
    amount(one.what, one.limit ?? 0), amount(one.what, Math.max((one.limit ?? 0) - (one.used ?? 0), 0)), count(Number(one.refused ?? 0)),
  ] };
}

function consumer(sum) {
  return { key: `${sum.key} ${sum.team}`, cells: [
    sum.key || 'anonymous', sum.team || none, count(Number(sum.requests ?? 0)), count(Number(sum.failures ?? 0)), count(Number(sum.inputTokens ?? 0)), count(Number(sum.outputTokens ?? 0)), dollars(sum.costUsd ?? 0),
  ] };
}

// inWords are limits as people say them.
function inWords(limits = {}) {
  const said = Object.entries({
    maxConcurrentRequests: 'at once', requestsPerMinute: 'requests / min', tokensPerMinute: 'tokens / min', inputTokensPerMinute: 'input / min', outputTokensPerMinute: 'output / min',
  }).filter(([name]) => limits?.[name] !== undefined).map(([name, what]) => `${count(Number(limits[name]))} ${what}`);
  if (limits?.dollarsPerDay !== undefined) said.push(`${dollars(limits.dollarsPerDay)} a day`);
  if (limits?.dollarsPerMonth !== undefined) said.push(`${dollars(limits.dollarsPerMonth)} a month`);
  if (limits?.mode) said.push(limits.mode);
  return said.length ? tags(said) : none;
}

const states = { active: 'active', disabled: '■ disabled', expired: '■ expired', revoked: '✕ revoked' };

function key({ id, key: one = {}, state }) {
  const scope = ['models', 'providers', 'classes', 'regions'].flatMap((name) => one.scope?.[name] ?? []);
  return { key: id, cells: [
    h('code', {}, id), one.name || none, states[state] ?? state, one.team || none, scope.length ? tags(scope) : 'everything', inWords(one.limits),
    Number(one.expiresUnixMs ?? 0) ? moment(Number(one.expiresUnixMs)) : 'never',
    state === 'revoked' ? writing('operator', 'Delete', () => end('Delete', id, 'It is taken out of the list. It has been of no use since it was revoked.'), 'small', { 'aria-label': `Delete ${id}` })
      : writing('operator', 'Revoke', () => end('Revoke', id, 'Whoever calls with it is refused at every node within a second. It cannot be brought back.'), 'danger small', { 'aria-label': `Revoke ${id}` }),
  ].slice(0, may('operator') ? undefined : -1) };
}

function end(word, id, text) {
  ask({
    title: `${word} ${id}?`, text, agree: word, kind: 'danger',
    done: async () => {
      await call(`KeyService/${word}Key`, { id, wait: true }, wait);
      await reload();
    },
  });
}

function limit({ scope, limits }) {
  return { key: scope, cells: [scope, inWords(limits), writing('operator', 'Edit', () => editLimit(scope, limits), 'small', { 'aria-label': `Edit the limits of ${scope}` })].filter(Boolean) };
}

const amounts = [
  { path: 'maxConcurrentRequests', label: 'Requests at once', kind: 'number' }, { path: 'requestsPerMinute', label: 'Requests a minute', kind: 'number' },
  { path: 'tokensPerMinute', label: 'Tokens a minute', kind: 'number' }, { path: 'dollarsPerDay', label: 'Dollars a day', kind: 'number' }, { path: 'dollarsPerMonth', label: 'Dollars a month', kind: 'number' },
];

function editLimit(scope, limits) {
  const of = field('Of', h('input', { type: 'text', value: scope, autocomplete: 'off', spellcheck: 'false', required: true, readonly: Boolean(scope) }), 'all, key/ID, team/ID, provider/ID, provider/ID/keys or provider/ID/model/MODEL.');
  const form = draft(limits ?? {}, amounts);
  ask({
    title: scope ? `Limits of ${scope}` : 'Set a limit', fields: [of, ...form.fields], agree: 'Save',
    done: async () => {
      const where = of.querySelector('input').value.trim();
      const wanted = form.read();
      await (Object.keys(wanted).length ? call('LimitService/SetLimit', { scope: where, limits: wanted }, wait) : call('LimitService/UnsetLimit', { scope: where }, wait));
      await reload();
    },
  });
}

function createKey() {
  const text = (label, note, more = {}) => field(label, h('input', { type: 'text', autocomplete: 'off', spellcheck: 'false', ...more }), note);
  const name = text('Name', 'For people: who calls with it.');
  const team = text('Team', 'Whose limits it shares; empty for none.');
  const models = text('Models', 'Names with commas between them, a trailing * for any ending; empty for all.');
  const days = text('Valid for days', 'Empty for ever.', { inputmode: 'numeric' });
  const form = draft({}, amounts);
  ask({
    title: 'Create a key', fields: [name, team, models, days, ...form.fields], agree: 'Create',
    done: async () => {
      const value = (one) => one.querySelector('input').value.trim();
      const wanted = { name: value(name), team: value(team), limits: form.read() };
      if (value(models)) wanted.scope = { models: value(models).split(',').map((one) => one.trim()).filter(Boolean) };
      if (Number(value(days)) > 0) wanted.expiresUnixMs = String(Date.now() + Math.round(Number(value(days)) * 86400e3));
      const made = await call('KeyService/CreateKey', { key: wanted, wait: true }, wait);
      await reload();
      setTimeout(() => show(made), 0); // when this dialog has gone
    },
  });
}

// show tells a key, this once.
function show({ key: whole, entry }) {
  const box = field('Key', h('input', { type: 'text', readonly: true, class: 'code', value: whole, onfocus: (event) => event.target.select() }), 'It is shown this once, and kept nowhere: only its hash is.');
  ask({ title: `Key ${entry.id}`, text: 'Callers send it as Authorization: Bearer or as x-api-key.', fields: [box], agree: 'I have it', done: async () => {} });
}
