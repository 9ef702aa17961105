// Routing: the policy, and what would happen to a request.

import { h } from './element.js';
import { call } from './rpc.js';
import { house, recent, refresh } from './house.js';
import { count, duration, none, percent } from './format.js';
import { gauge } from './sparkline.js';
import { ask } from './dialog.js';
import { complete, draft } from './draft.js';
import { explainForm, explained } from './explain.js';
import { facts, heading, panel, table, tags, writing } from './parts.js';

const wait = 30e3; // milliseconds

// usualOrder is what a node does without a class_order of its own: thinking that is asked for goes before tools, thinking that is guessed behind.
const usualOrder = ['vision', 'thinking, if asked for', 'tools', 'thinking, by its words', 'long_context', 'streaming', 'standard'];

export const title = () => 'Routing';

export function view() {
  return [heading('Routing', writing('operator', 'Edit the policy', edit)), policy(), explainForm(), explained(), decisions()];
}

function policy() {
  const now = house.config.policy ?? {};
  const fallback = house.config.providers?.find((provider) => provider.fallback)?.id;
  return panel('Policy', facts([
    ['Prefers', now.priority], ['Balances', now.loadBalancer], ['Unknown models', now.unknownModel === 'reject' ? 'are refused' : 'go to any provider that fits'],
    ['Default provider', now.defaultProvider], ['Fallback provider', fallback], ['For thinking', now.thinkingProvider], ['For vision', now.visionProvider], ['For tools', now.toolsProvider],
    ['Attempts', `at most ${now.maxAttempts}; ${percent(now.retryShare ?? 0)} of requests may be retried, ${percent(now.hedgeShare ?? 0)} hedged`],
    ['Patience', `connect ${duration(now.connectTimeoutMs)}, first token ${duration(now.firstTokenTimeoutMs)}, idle ${duration(now.idleTimeoutMs)}, whole ${duration(now.requestTimeoutMs)}`],
    ['Long context', now.longContextTokens ? `from ${count(Number(now.longContextTokens))} tokens` : null], ['Broken streams', now.continuation ? 'of plain text go on elsewhere' : 'end with an error'],
    ['Regions', now.regions?.join(', ') || 'all'], ['Classes, in the order in which they apply', tags(now.classOrder?.length ? now.classOrder : usualOrder)],
  ]));
}

// decisions of the last minute: which class went where, and how often that took more than one attempt.
function decisions() {
  const lately = recent();
  const ways = Map.groupBy(lately, (request) => `${request.class} → ${request.place}`);
  const rows = [...ways].sort(([, a], [, b]) => b.length - a.length).slice(0, 20).map(([way, all]) => ({ key: way, cells: [
    all[0].class || none, all[0].place || none, count(all.length), gauge(all.length / lately.length, percent(all.length / lately.length), false),
    count(all.filter(({ tries }) => tries > 1).length), count(all.filter(({ wrong }) => wrong).length),
  ] }));
  return panel('Decisions of the last minute', table('Decisions', ['Class', 'Went to', 'Requests|n', 'Share|n', 'After another|n', 'Failed|n'], rows, 'No request has ended in the last minute.'),
    sampled(lately) && h('p', { class: 'note' }, 'Of a sample: no more than fifty requests a second are looked at here.'),
    h('p', {}, h('a', { href: '#/requests' }, 'Every request with its decision')));
}

function sampled(lately) {
  return lately.length < 0.9 * house.series.rate.sum(60);
}

function edit() {
  const revision = house.revision;
  const providers = [['', 'none'], ...house.entries.map((entry) => entry.id)];
  const form = draft(house.routing, [
    { path: 'priority', label: 'Prefers', kind: 'choice', options: [['', 'as usual (balanced)'], 'cost', 'performance', 'reliability', 'balanced', 'custom'] },
    { path: 'loadBalancer', label: 'Balances', kind: 'choice', options: [['', 'as usual (adaptive)'], 'round_robin', 'weighted', 'least_connections', 'adaptive', 'plugin'] },
    { path: 'defaultProvider', label: 'Default provider', kind: 'choice', options: providers },
    { path: 'fallbackProvider', label: 'Fallback provider', kind: 'choice', options: providers, note: 'Serves only when nothing else can.' },
    { path: 'thinkingProvider', label: 'For thinking', kind: 'choice', options: providers },
    { path: 'visionProvider', label: 'For vision', kind: 'choice', options: providers },
    { path: 'toolsProvider', label: 'For tools', kind: 'choice', options: providers },
    { path: 'unknownModel', label: 'Unknown models', kind: 'choice', options: [['', 'as usual (any)'], 'any', 'reject'] },
    { path: 'maxAttempts', label: 'Attempts at most', kind: 'number' },
    { path: 'retryShare', label: 'Share that may be retried', kind: 'number', note: '0.1 is a tenth.' },
    { path: 'hedgeShare', label: 'Share that may be hedged', kind: 'number' },
    { path: 'continuation', label: 'Broken streams go on elsewhere', kind: 'flag' },
  ]);
  ask({
    title: 'Edit the policy', fields: form.fields, agree: 'Save',
    done: async () => {
      const sent = form.read();
      const answer = await call('RoutingService/UpdateRouting', { routing: sent, revision }, wait);
      await refresh();
      complete(sent, answer.routing);
    },
  });
}
