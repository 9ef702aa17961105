// The admin API over Connect's JSON: one POST a call.

import { authorization } from './session.js';

let ahead = 0; // milliseconds by which the control plane's clock is before this one

// now is the control plane's time, in milliseconds since 1970: what it tells is compared with that, whatever the clock here says.
export function now() {
  return Date.now() + ahead;
}

function compare(response) {
  const off = Date.parse(response.headers.get('Date')) + 500 - Date.now();
  if (Math.abs(off - ahead) > 5000) ahead = off;
}

const patience = 4000; // milliseconds; every call here is answered from memory but writes and Explain, which say so

// Refusal is an answer that is an error: its code, what it says, and of wrong input every problem with its path.
class Refusal extends Error {
  constructor(code, message, problems) {
    super(message);
    this.code = code;
    this.problems = problems;
  }
}

// call asks for Service/Method and returns the answer.
export async function call(procedure, request = {}, wait = patience) {
  const response = await fetch(`/aimux.admin.v1.${procedure}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'Connect-Protocol-Version': '1', ...authorization() },
    body: JSON.stringify(request),
    signal: AbortSignal.timeout(wait),
  });
  compare(response);
  const text = await response.text();
  if (response.ok) return JSON.parse(text);
  throw refusal(response.status, text);
}

// page reads one of the pages that are no RPC.
export async function page(path) {
  const response = await fetch(path, { headers: authorization(), signal: AbortSignal.timeout(patience) });
  if (response.status === 401) throw new Refusal('unauthenticated', (await response.text()).trim(), []);
  return response.json();
}

function refusal(status, text) {
  try {
    const { code, message, details } = JSON.parse(text);
    return new Refusal(code, message || code, (details ?? []).flatMap((detail) => detail.debug?.problems ?? []));
  } catch {
    return new Refusal('unknown', `${status}: ${text.slice(0, 200)}`, []);
  }
}

// base64 of text, as a bytes field wants it.
export function base64(text) {
  return btoa(Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join(''));
}
