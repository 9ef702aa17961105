// Explain: paste a request, and see where it would go and why, without sending it.

import { h } from './element.js';
import { base64, call } from './rpc.js';
import { changed, house } from './house.js';
import { count, dollars, duration, none, percent, score } from './format.js';
import { choice, complaint } from './dialog.js';
import { badge, providerStanding, standingOf } from './standing.js';
import { facts, pair, panel, table, tags, why } from './parts.js';

const wait = 10e3; // milliseconds
const example = JSON.stringify({ model: 'claude-sonnet-5-5', max_tokens: 1000, messages: [{ role: 'user', content: 'Compare two ways to sort a list, step by step.' }] }, null, 2);

// asked is what the form last got: {answer} or {error}.
let asked = null;

export function explainForm() {
  const nodes = [['', 'any node'], ...house.nodes.filter((node) => node.live).map((node) => node.heartbeat.node)];
  return panel('Explain a request', h('form', { class: 'explain', novalidate: true, onsubmit: submit },
    h('div', { class: 'field' }, h('label', { for: 'explain-body' }, 'Request body'), h('textarea', { id: 'explain-body', class: 'code', rows: 8, spellcheck: 'false', value: example })),
    h('div', { class: 'row' },
      h('div', { class: 'field' }, h('label', { for: 'explain-protocol' }, 'Format'), choice([['anthropic', 'Anthropic Messages'], ['openai', 'OpenAI Chat Completions']], 'anthropic', { id: 'explain-protocol' })),
      h('div', { class: 'field' }, h('label', { for: 'explain-node' }, 'Asked of'), choice(nodes, '', { id: 'explain-node' })),
      h('button', { type: 'submit', class: 'main' }, 'Explain'))));
}

async function submit(event) {
  event.preventDefault();
  const form = event.target;
  const value = (id) => form.querySelector(`#explain-${id}`).value;
  try {
    const { explanation } = await call('RoutingService/Explain', { node: value('node'), request: { protocol: value('protocol'), body: base64(value('body')) } }, wait);
    asked = { answer: explanation };
  } catch (error) {
    asked = { error };
  }
  changed();
}

// explained is the answer, told to those who cannot see it as soon as it is there.
export function explained() {
  return h('div', { class: 'answer', role: 'status', key: 'explained' }, asked && (asked.error ? h('section', { class: 'panel refused' }, complaint(asked.error)) : answer(asked.answer)));
}

// standing of a candidate, as the node sees it; a provider that is off has none there.
function standing({ provider, state }) {
  const entry = house.entries.find(({ id }) => id === provider);
  return entry && !entry.enabled ? providerStanding(entry) : standingOf(state);
}

function answer(told) {
  const rank = (one) => (told.chain ?? []).indexOf(`${one.provider}/${one.model}`);
  return panel('What would happen',
    told.error ? h('p', { class: 'refused' }, `It would be refused: ${told.error}`) : null,
    told.chain?.length ? h('p', { class: 'chain-title', id: 'chain' }, 'It would be tried in this order:') : null,
    told.chain?.length ? h('ol', { class: 'chain', 'aria-labelledby': 'chain' }, told.chain.map((name) => h('li', { key: name }, name))) : null,
    told.class && facts([
      ['Class', h('strong', {}, told.class)], ['Traits', tags(told.traits)], ['Needs', tags(told.needs)], ['Model asked for', told.requestedModel],
      ['Tokens', `${count(Number(told.promptTokens ?? 0))} in, ${count(Number(told.expectedOutputTokens ?? 0))} expected out`],
      ['Chosen by', `${told.strategy ?? ''}, preferring ${told.priority ?? ''}`], ['Says', `${told.node}, with table revision ${told.table?.configRevision}`],
    ]),
    told.candidates?.length > 0 && table('Candidates', ['Candidate', 'Turn|n', 'May serve', 'Why', 'State', 'Score|n', 'Weight|n', 'Cost|n', 'First token|n', 'Whole|n'], told.candidates.map((one) => ({
      key: `${one.provider}/${one.model}`,
      cells: [pair(h('a', { href: `#/providers/${one.provider}` }, one.provider), one.model), rank(one) < 0 ? none : rank(one) + 1, one.eligible ? '✓ yes' : '✕ no', why(one.reason),
        badge(standing(one)), one.eligible ? score(one.score) : none, percent((one.weightPpm ?? 0) / 1e6), dollars(one.costUsd ?? null), duration(one.expectedFirstTokenMs ?? null), duration(one.expectedTotalMs ?? null)],
    }))));
}
