// Adding, changing and deleting a provider.

import { h } from './element.js';
import { call } from './rpc.js';
import { house, refresh } from './house.js';
import { ask, field } from './dialog.js';
import { complete, draft } from './draft.js';

const wait = 30e3; // milliseconds; a write is durable before it is answered

const kinds = [['', 'by the id'], 'cerebras', 'zai', 'minimax', 'anthropic', 'openai', 'compatible', 'synthetic'];
const settings = [
  { path: 'kind', label: 'Kind', kind: 'choice', options: kinds, note: 'Its kind brings address, models and prices; compatible needs them below.' },
  { path: 'name', label: 'Name', kind: 'text', note: 'For people.' },
  { path: 'baseUrl', label: 'Address', kind: 'text', note: 'Without the endpoint, up to and with its version. A new address needs the key again.' },
  { path: 'protocol', label: 'Speaks', kind: 'choice', options: [['', 'as its kind'], 'anthropic', 'openai'] },
  { path: 'apiKey', label: 'Key', kind: 'secret', note: 'The key itself, env:NAME or file:PATH. It is never shown again.' },
  { path: 'region', label: 'Region', kind: 'text' },
  { path: 'enabled', label: 'In service', kind: 'flag' },
  { path: 'allowPrivateAddress', label: 'May be in a private network', kind: 'flag' },
  { path: 'priorityScore', label: 'Priority, 0 to 100', kind: 'number', note: 'Higher is preferred.' },
  { path: 'maxConcurrentRequests', label: 'Requests at once', kind: 'number' },
  { path: 'requestsPerMinute', label: 'Requests a minute', kind: 'number' },
  { path: 'tokensPerMinute', label: 'Tokens a minute', kind: 'number' },
  { path: 'maxFailures', label: 'Failures that open the circuit', kind: 'number' },
];

// editProvider changes the entry, or adds a provider if there is none.
export function editProvider(entry) {
  const revision = house.revision;
  const form = draft(entry?.provider ?? {}, settings);
  const id = field('Id', h('input', { type: 'text', autocomplete: 'off', spellcheck: 'false', autofocus: true }), 'a–z, 0–9, - and _; what it is called in routes and figures.');
  ask({
    title: entry ? `Edit ${entry.id}` : 'Add a provider',
    fields: entry ? form.fields : [id, ...form.fields],
    agree: entry ? 'Save' : 'Add',
    done: async () => {
      const name = entry?.id ?? id.querySelector('input').value.trim();
      if (!name) throw new Error('Id: say what it is to be called.');
      const sent = form.read();
      const answer = await call(`ProviderService/${entry ? 'UpdateProvider' : 'CreateProvider'}`, { id: name, provider: sent, revision }, wait);
      await refresh();
      location.hash = `#/providers/${name}`;
      complete(sent, answer.provider?.provider);
    },
  });
}

export function deleteProvider(id) {
  const revision = house.revision;
  ask({
    title: `Delete ${id}?`,
    text: `Its settings and its key are gone for good, and no request goes to it any more. To keep them, edit it and take it out of service.`,
    agree: `Delete ${id}`,
    kind: 'danger',
    done: async () => {
      await call('ProviderService/DeleteProvider', { id, revision }, wait);
      location.hash = '#/providers';
      await refresh();
    },
  });
}
