// The requests as they end, each with the whole decision.

import { h } from './element.js';
import { changed, house, wentWrong } from './house.js';
import { clock, count, dollars, duration, moment, none } from './format.js';
import { button, facts, heading, pair, panel, table } from './parts.js';

const rowsMax = 100;

// What the person has chosen: words to look for, failures only, the rows as they were when paused, and which are opened.
let wanted = '';
let failedOnly = false;
let paused = null;
const opened = new Set();

export const title = () => 'Requests';

export function view() {
  const all = paused ?? house.requests;
  const shown = all.filter(fits).slice(-rowsMax).reverse();
  return [
    heading('Requests', button(paused ? 'Go on' : 'Pause', pause, '', { 'aria-pressed': String(Boolean(paused)) })),
    h('form', { class: 'filters', role: 'search', onsubmit: (event) => event.preventDefault() },
      h('div', { class: 'field' }, h('label', { for: 'wanted' }, 'Look for'), h('input', { id: 'wanted', type: 'search', autocomplete: 'off', placeholder: 'model, provider, caller, id, fault', oninput: look })),
      h('div', { class: 'field field-box' }, h('input', { id: 'failed', type: 'checkbox', onchange: onlyFailed }), h('label', { for: 'failed' }, 'Only with a failure on the way'))),
    panel('Latest requests', h('p', { class: 'note' }, `${count(shown.length)} shown of ${count(all.length)} remembered here.`, house.unreported ? ` ${count(house.unreported)} more went by unreported.` : ''),
      table('Latest requests', ['Ended', 'Asked for', 'Went to', 'Attempts|n', 'First token|n', 'Whole|n', 'Tokens|n', 'Cost|n', 'Result', 'Decision'], shown.flatMap(rows), 'No request has ended yet, or none that is looked for.')),
  ];
}

function pause() {
  paused = paused ? null : [...house.requests];
  changed();
}

function look(event) {
  wanted = event.target.value.trim().toLowerCase();
  changed();
}

function onlyFailed(event) {
  failedOnly = event.target.checked;
  changed();
}

function fits(request) {
  if (failedOnly && !wentWrong(request) && !(request.attempts ?? []).some(wentWrong)) return false;
  return !wanted || JSON.stringify(request).toLowerCase().includes(wanted);
}

function name(target) {
  return target ? `${target.provider}/${target.model}` : none;
}

function rows(request) {
  const attempts = request.attempts ?? [];
  const last = attempts.at(-1);
  const key = String(request.number);
  const open = opened.has(key);
  const line = { key, cells: [
    clock(Number(request.startedUnixMs) + (request.durationMs ?? 0)), pair(request.requestedModel ?? none, request.class), last?.target ? pair(last.target.provider, last.target.model) : none, count(attempts.length),
    duration((request.stream && (last?.firstTokenMs || request.firstByteMs)) || null), duration(request.durationMs ?? 0), `${count(Number(request.inputTokens ?? 0))} + ${count(Number(request.outputTokens ?? 0))}`,
    dollars(Number(request.costNanoUsd ?? 0) / 1e9), result(request, attempts),
    button(open ? 'Hide' : 'Show', () => toggle(key), 'small', { 'aria-expanded': String(open), 'aria-label': `${open ? 'Hide' : 'Show'} the decision for request ${request.requestId}` }),
  ] };
  return open ? [line, { key: `${key} more`, whole: decision(request, attempts) }] : [line];
}

function toggle(key) {
  if (!opened.delete(key)) opened.add(key);
  if (opened.size > rowsMax) opened.delete(opened.values().next().value);
  changed();
}

function result(request, attempts) {
  if (wentWrong(request)) return h('span', { class: 'tone-bad' }, `✕ ${request.fault} ${request.status ?? ''}`);
  if (request.fault === 'canceled') return h('span', { class: 'tone-off' }, '– client left');
  const failed = attempts.filter(wentWrong).length;
  return failed ? h('span', { class: 'tone-warn' }, `✓ after ${failed} failed`) : h('span', { class: 'tone-good' }, '✓ good');
}

function decision(request, attempts) {
  return h('div', { class: 'decision' },
    facts([
      ['Why there', request.reason], ['Warnings', request.warnings?.join('; ')], ['Request', request.requestId], ['Trace', request.traceId], ['Caller', request.caller],
      ['Began', moment(Number(request.startedUnixMs))], ['Format', `${request.protocol}${request.stream ? ', streamed' : ''}`], ['Node', request.node], ['Table revision', request.tableRevision],
      ['Cache', Number(request.cacheReadTokens ?? 0) ? `${count(Number(request.cacheReadTokens))} tokens read` : null],
    ]),
    table('Attempts', ['Attempt', 'Result', 'Status|n', 'First token|n', 'Whole|n', "The provider's words"], attempts.map((attempt, i) => ({
      key: String(i),
      cells: [`${i + 1}. ${name(attempt.target)}${attempt.hedge ? ' (hedge)' : ''}${attempt.probe ? ' (probe)' : ''}`, wentWrong(attempt) ? `✕ ${attempt.fault}` : '✓ good', attempt.status || none,
        duration(attempt.firstTokenMs || null), duration(attempt.durationMs ?? 0), attempt.detail || none],
    })), 'No provider was asked.'));
}
