// The operator's word on a provider's health.

import { h } from './element.js';
import { call, now } from './rpc.js';
import { refresh } from './house.js';
import { ask, choice, field } from './dialog.js';

const wait = 30e3; // milliseconds
const minute = 60e3;

const meanings = {
  drain: ['Drain', 'It gets no new requests; those under way end as they would.'],
  open: ['Force open', 'It gets no requests, as if it were broken.'],
  closed: ['Force closed', 'It gets its full share, whatever is seen of it.'],
};
const expiries = [[String(10 * minute), 'in 10 minutes'], [String(60 * minute), 'in an hour'], [String(480 * minute), 'in 8 hours'], ['0', 'when it is cleared']];

// override asks why and for how long, and sets it.
export function override(provider, state) {
  const [name, meaning] = meanings[state];
  const ends = field('Ends', choice(expiries, String(60 * minute)));
  const reason = field('Reason', h('input', { type: 'text', maxlength: 200, autocomplete: 'off', autofocus: true }), 'For whoever looks at this later.');
  ask({
    title: `${name}: ${provider}`,
    text: meaning,
    fields: [reason, ends],
    agree: name,
    done: () => set(provider, { state, reason: reason.querySelector('input').value.trim(), expiresUnixMs: expiry(Number(ends.querySelector('select').value)) }),
  });
}

function expiry(span) {
  return span ? String(now() + span) : '0';
}

export function clearOverride(provider) {
  ask({ title: `Clear the override of ${provider}?`, text: 'From then on its health is what is seen of it.', agree: 'Clear', done: () => set(provider, {}) });
}

async function set(provider, word) {
  await call('HealthService/SetOverride', { provider, override: word }, wait);
  await refresh();
}
