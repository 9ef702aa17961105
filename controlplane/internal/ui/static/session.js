// Who asks: the token that the admin API is shown. It lives in this tab and ends with it.

import { h } from './element.js';
import { button } from './parts.js';

const name = 'aimux-token';

// authorization is the header of every call; none without a token.
export function authorization() {
  const token = sessionStorage.getItem(name);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

export function signedIn() {
  return sessionStorage.getItem(name) !== null;
}

export function signOut() {
  sessionStorage.removeItem(name);
}

// arrive signs in with an address that ends in #token=…, and takes the token out of the address at once, so that no bookmark and no
// history keeps it. It answers whether it did.
export function arrive() {
  const [, token] = location.hash.match(/^#token=([\w.-]+)$/) ?? [];
  if (!token) return false;
  sessionStorage.setItem(name, token);
  history.replaceState(null, '', `${location.pathname}#/`);
  return true;
}

// view asks for a token; why is what the admin API said of the one that it was shown. again is called with a new one in place.
export function view(why, again) {
  const submit = (event) => {
    event.preventDefault();
    const token = event.target.elements.token.value.trim();
    if (!token) return;
    sessionStorage.setItem(name, token);
    again();
  };
  return [
    h('h1', { key: 'sign-in', tabindex: '-1' }, 'Sign in'),
    h('form', { key: 'sign-in-form', class: 'panel sign-in', onsubmit: submit },
      h('p', {}, 'The admin API asks for a token. ', h('code', {}, 'aimux token local'), ' prints the one of this machine; others are made by ', h('code', {}, 'aimux token create'), '.'),
      h('div', { class: 'field' },
        h('label', { for: 'token' }, 'Token'),
        h('input', { id: 'token', name: 'token', type: 'password', autocomplete: 'off', spellcheck: 'false', required: true, 'aria-describedby': 'token-note' }),
        h('p', { class: 'refused', id: 'token-note', role: 'alert' }, signedIn() ? why : '')),
      h('p', { class: 'buttons' }, h('button', { type: 'submit', class: 'main' }, 'Sign in'), signedIn() && button('Forget the token', () => { signOut(); again(); }))),
  ];
}
