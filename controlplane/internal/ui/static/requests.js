// The requests as they end, each with the whole decision. The control plane picks out which; a busy cluster is not sent here whole.

import { h } from './element.js';
import { call } from './rpc.js';
import { changed, endedAt, house, soon, wentWrong } from './house.js';
import { clock, count, dollars, duration, moment, none } from './format.js';
import { choice, complaint } from './dialog.js';
import { button, facts, heading, pair, panel, table, whole } from './parts.js';

const rowsMax = 100;
const typing = 250; // milliseconds without a key after which is looked for what was typed

export const title = () => 'Requests';

// filters by their names in the admin API: label, and either options or a hint of what to write.
const filters = [
  { name: 'text', label: 'Look for', hint: 'id, name, reason, the provider’s words', wide: true },
  { name: 'status', label: 'Status', options: [['', 'any'], '2xx', '4xx', '5xx', '400', '401', '403', '404', '413', '429', '500', '502', '503', '504', '529'] },
  { name: 'provider', label: 'Provider', list: () => house.entries.map(({ id }) => id) },
  { name: 'model', label: 'Model', hint: 'claude-*', list: () => [...new Set((house.config.providers ?? []).flatMap(({ models }) => (models ?? []).map(({ id }) => id)))].slice(0, 500) },
  { name: 'class', label: 'Class', options: [['', 'any'], 'standard', 'vision', 'thinking', 'tools', 'long_context', 'streaming'] },
  { name: 'caller', label: 'Key' },
  { name: 'team', label: 'Team' },
  { name: 'troubled', label: 'Only with a failure on the way', flag: true },
];

// wanted is what the person has chosen, by the filters' names, and from the part of the address that is told of it; form is another for each
// address, so that its fields begin anew. rows are what was told, newest first; held says why nothing new comes: '', 'paused' or 'reading'.
const tail = { wanted: {}, address: null, form: 0, rows: [], last: '0', source: '', held: '', refused: null, opened: new Set() };

// question asks for what has come since the last time, and is wanted.
export const question = () => async () => {
  if (tail.held) return;
  const { wanted } = tail;
  const filter = { ...wanted, status: undefined, statuses: wanted.status ? [wanted.status] : [], troubled: Boolean(wanted.troubled) };
  try {
    const answer = await call('UsageService/ListRequests', { after: tail.last, limit: rowsMax, filter });
    if (wanted !== tail.wanted || tail.held) return;
    if (answer.source !== tail.source) tail.rows = [];
    const fresh = (answer.requests ?? []).reverse();
    const seen = new Set(fresh.map(({ requestId }) => requestId));
    tail.rows = [...fresh, ...tail.rows.filter(({ requestId }) => !seen.has(requestId))].slice(0, rowsMax);
    Object.assign(tail, { source: answer.source, last: answer.last ?? '0', refused: null });
  } catch (error) {
    if (error.code !== 'invalid_argument') throw error;
    tail.refused = error;
  }
};

function arrive(address) {
  tail.form++;
  look(Object.fromEntries(new URLSearchParams(address)), address);
}

// look begins anew with other wishes, and tells the address of them: it can be kept, and sent to others.
function look(wanted, address = new URLSearchParams(wanted).toString()) {
  Object.assign(tail, { wanted, address, rows: [], last: '0', held: '', refused: null });
  tail.opened.clear();
  history.replaceState(null, '', address ? `#/requests/${encodeURIComponent(address)}` : '#/requests');
}

let pending = null;
let chosen = {}; // and not looked for yet

function choose(name, value, wait) {
  clearTimeout(pending);
  chosen[name] = value;
  pending = setTimeout(() => {
    look(Object.fromEntries(Object.entries({ ...tail.wanted, ...chosen }).filter(([, one]) => one)));
    chosen = {};
    soon();
  }, wait);
}

export function view(address) {
  if (tail.address !== address) arrive(address);
  return [
    heading('Requests', button(tail.held ? 'Go on' : 'Pause', hold, tail.held ? 'main' : '', { 'aria-pressed': String(Boolean(tail.held)) })),
    h('form', { key: `filters ${tail.form}`, class: 'filters', role: 'search', onsubmit: (event) => event.preventDefault() }, filters.map(filter)),
    tail.refused && h('div', { class: 'refused', role: 'alert' }, complaint(tail.refused)),
    panel('Latest requests', h('p', { class: 'note' }, told()),
      table('Latest requests', ['Ended', 'Asked for', 'Went to', 'Caller', 'Attempts|n', 'First token|n', 'Whole|n', 'Tokens|n', 'Cost|n', 'Result', 'Decision'], tail.rows.flatMap(rows),
        Object.keys(tail.wanted).length ? 'None of the latest 2,048 requests is like that.' : 'No request has ended yet.', 2 * rowsMax)),
  ].filter(Boolean);
}

function told() {
  const held = { '': '', paused: ' Paused: nothing new is shown.', reading: ' Paused while a decision is open.' }[tail.held];
  const most = tail.rows.length === rowsMax ? `The newest ${count(rowsMax)}` : count(tail.rows.length);
  return `${most} of ${count(Number(tail.last))} that this control plane has heard of.${held}${house.unreported ? ` ${count(house.unreported)} more went by unreported.` : ''}`;
}

function filter({ name, label, hint, options, list, flag, wide }) {
  const id = `wanted-${name}`;
  const value = tail.wanted[name] ?? '';
  if (flag) {
    return h('div', { class: 'field field-box' }, h('input', { id, type: 'checkbox', checked: Boolean(value), onchange: (event) => choose(name, event.target.checked ? '1' : '', 0) }), h('label', { for: id }, label));
  }
  const control = options ? choice(options, value, { id, onchange: (event) => choose(name, event.target.value, 0) })
    : h('input', { id, type: 'search', autocomplete: 'off', spellcheck: 'false', placeholder: hint, value, list: list && `${id}-list`, oninput: (event) => choose(name, event.target.value.trim(), typing) });
  return h('div', { class: wide ? 'field' : 'field field-short' }, h('label', { for: id }, label), control, list && h('datalist', { id: `${id}-list` }, list().map((one) => h('option', { value: one }))));
}

function hold() {
  tail.held = tail.held ? '' : 'paused';
  if (!tail.held) soon();
  changed();
}

function rows(request) {
  const attempts = request.attempts ?? [];
  const last = attempts.at(-1);
  const key = request.requestId;
  const open = tail.opened.has(key);
  const line = { key, cells: [
    whole(clock(endedAt(request))), pair(request.requestedModel || none, request.class), last?.target ? pair(last.target.provider, last.target.model) : none,
    request.caller ? pair(request.caller, request.team) : none, count(attempts.length),
    duration((request.stream && (last?.firstTokenMs || request.firstByteMs)) || null), duration(request.durationMs ?? 0), `${count(Number(request.inputTokens ?? 0))} + ${count(Number(request.outputTokens ?? 0))}`,
    dollars(Number(request.costNanoUsd ?? 0) / 1e9), result(request, attempts),
    button(open ? 'Hide' : 'Show', () => toggle(key), 'small', { 'aria-expanded': String(open), 'aria-label': `${open ? 'Hide' : 'Show'} the decision for request ${request.requestId}` }),
  ] };
  return open ? [line, { key: `${key} more`, below: decision(request, attempts) }] : [line];
}

// toggle opens a decision, and holds everything still while one is open: in a busy cluster it would be gone in a second.
function toggle(key) {
  if (!tail.opened.delete(key)) tail.opened.add(key);
  if (tail.held !== 'paused') tail.held = tail.opened.size ? 'reading' : '';
  changed();
}

function result(request, attempts) {
  if (wentWrong(request)) return h('span', { class: 'tone-bad' }, `✕ ${request.fault} ${request.status ?? ''}`);
  if (request.fault === 'canceled') return h('span', { class: 'tone-off' }, '– client left');
  const failed = attempts.filter(wentWrong).length;
  return failed ? h('span', { class: 'tone-warn' }, `✓ after ${failed} failed`) : h('span', { class: 'tone-good' }, '✓ good');
}

function decision(request, attempts) {
  const tried = new Set(attempts.map(({ target }) => name(target)));
  const spare = (request.candidates ?? []).filter((candidate) => !tried.has(candidate));
  return h('div', { class: 'decision' },
    facts([
      ['Why there', request.reason], ['Warnings', request.warnings?.join('; ')], ['Request', request.requestId], ['Trace', request.traceId], ['Caller', [request.caller, request.team && `team ${request.team}`].filter(Boolean).join(', ')],
      ['Began', moment(Number(request.startedUnixMs))], ['Format', `${request.protocol}${request.stream ? ', streamed' : ''}`], ['Answered', request.status ? `with status ${request.status}` : null],
      ['Node', request.node], ['Table revision', request.tableRevision], ['Cache', Number(request.cacheReadTokens ?? 0) ? `${count(Number(request.cacheReadTokens))} tokens read` : null],
    ]),
    table('Attempts', ['Attempt', 'Result', 'Status|n', 'First token|n', 'Whole|n', "The provider's words"], attempts.map((attempt, i) => ({
      key: String(i),
      cells: [`${i + 1}. ${name(attempt.target)}${attempt.hedge ? ' (hedge)' : ''}${attempt.probe ? ' (probe)' : ''}`, ended(attempt), attempt.status || none,
        duration(attempt.firstTokenMs || null), duration(attempt.durationMs ?? 0), attempt.detail || none],
    })), 'No provider was asked.'),
    spare.length > 0 && h('p', {}, h('span', { class: 'note' }, tried.size ? 'Next in line, not needed: ' : 'In line: '), spare.join(', ')),
    request.passedOver?.length > 0 && table('Passed over', ['Passed over', 'Why'], request.passedOver.map(({ target, reason }) => ({ key: target, cells: [target, reason] }))));
}

function ended(attempt) {
  if (attempt.fault === 'canceled') return '– not needed any more';
  return wentWrong(attempt) ? `✕ ${attempt.fault}` : '✓ good';
}

function name(target) {
  return target ? `${target.provider}/${target.model}` : none;
}
