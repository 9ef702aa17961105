// Does each page's job on a running aimux, one of whose providers fails.

import { accessible, base, button, context, dialog, fits, gone, page, perform, pictures, region, see, until, visit, want } from './person.mjs';

const jobs = {
  // Ten seconds are a look and a click: what is wrong stands first, and its reason is one click away.
  async 'find the sick provider at a look and a click'() {
    await page.goto(base);
    await see(page.getByRole('heading', { name: /needs? attention/ }), 'the call for attention');
    const first = page.locator('.troubles li').first();
    await until('the worst stands first', async () => /Circuit open\s*sick/.test(await first.innerText()));
    want((await page.title()).startsWith('('), 'the title does not tell that something needs attention');
    await until('figures move', async () => !/^(–|0\.0)/.test(await page.locator('.figure .value').first().innerText()));
    await see(region('Providers').getByRole('img', { name: 'Attempts a second at steady, lately' }), 'a sparkline');
    await accessible('overview');
    await first.getByRole('link', { name: 'sick' }).click();
    await see(page.getByRole('heading', { level: 1, name: 'sick' }), 'the provider');
    await see(region('Timeline').getByRole('listitem').getByText(/in a row|failed|answers|open on/), 'the reason of a transition');
    await until('the failures by kind', async () => (await region('Failures by kind').first().innerText()).includes('server_error'));
    await accessible('provider');
  },

  async 'go by keyboard'() {
    await page.goto('about:blank');
    await visit('');
    for (const name of ['Skip to the page', 'aimux', 'Overview', 'Providers']) {
      await page.keyboard.press('Tab');
      const focused = await page.evaluate(() => document.activeElement.textContent.trim());
      want(focused.startsWith(name), `the focus is on ${focused}, not on ${name}`);
    }
    await page.keyboard.press('Enter');
    await until('the focus comes to the heading', () => page.evaluate(() => document.activeElement.tagName === 'H1' && document.activeElement.textContent === 'Providers'));
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await see(dialog(), 'the dialog');
    const before = await page.evaluate(() => document.activeElement.id);
    await page.waitForTimeout(1500); // longer than a round: drawing anew must not take the focus
    want(before && before === (await page.evaluate(() => document.activeElement.id)), 'the focus was lost while the page was drawn');
    await page.keyboard.press('Escape');
    await gone(dialog());
    want((await page.evaluate(() => document.activeElement.textContent)) === 'Add a provider', 'the focus does not come back');
  },

  async 'drain and clear'() {
    await visit('providers/steady');
    await button('Drain').click();
    await dialog().getByLabel('Reason').fill('disks are changed');
    await dialog().getByLabel('Ends').selectOption('in 10 minutes');
    await accessible('override', ['dark']);
    await dialog().getByRole('button', { name: 'Drain' }).click();
    await gone(dialog());
    await see(page.getByText(/An operator's word holds \(drain: disks are changed\), until/), 'the override');
    await see(page.locator('.verdict').getByText('Draining'), 'the state');
    await page.screenshot({ path: `${pictures}/provider-drained.png` });
    await button('Clear the override').click();
    await dialog().getByRole('button', { name: 'Clear' }).click();
    await see(page.locator('.verdict').getByText('Healthy'), 'the state after clearing');
    for (const [name, word] of [['Force open', 'Forced open'], ['Force closed', 'Forced closed']]) {
      await button(name).click();
      await dialog().getByRole('button', { name }).click();
      await see(page.locator('.verdict').getByText(word), word);
    }
    await button('Clear the override').click();
    await dialog().getByRole('button', { name: 'Clear' }).click();
    await see(page.locator('.verdict').getByText('Healthy'), 'the state in the end');
  },

  async 'add, edit and delete a provider'() {
    await visit('providers');
    want(/^sick/.test(await region('All providers').getByRole('rowheader').first().innerText()), 'the sick provider is not the first of the list');
    await accessible('providers');
    await button('Add a provider').click();
    await dialog().getByLabel('Id', { exact: true }).fill('newcomer');
    await dialog().getByLabel('Kind').selectOption('compatible');
    await dialog().getByRole('button', { name: 'Add' }).click();
    await see(dialog().getByRole('alert').getByText('providers.newcomer.base_url'), 'what is wrong, by its path');
    await accessible('provider-form', ['light']);
    await dialog().getByLabel('Kind').selectOption('synthetic');
    await dialog().getByLabel('Name').fill('The newcomer');
    await dialog().getByText('Everything, as JSON').click();
    const json = JSON.parse(await dialog().getByLabel('JSON', { exact: true }).inputValue());
    want(json.kind === 'synthetic' && json.name === 'The newcomer', `the JSON does not follow the fields: ${JSON.stringify(json)}`);
    await dialog().getByLabel('JSON', { exact: true }).fill(JSON.stringify({ ...json, maxConcurrentRequests: 7 }));
    want((await dialog().getByLabel('Requests at once').inputValue()) === '7', 'the fields do not follow the JSON');
    await dialog().getByRole('button', { name: 'Add' }).click();
    await see(page.getByRole('heading', { level: 1, name: 'newcomer' }), 'the new provider');
    await see(page.getByText('0 of 7', { exact: true }).last(), 'its cap');
    await button('Edit').click();
    await dialog().getByLabel('In service').selectOption('no');
    await dialog().getByRole('button', { name: 'Save' }).click();
    await see(page.locator('.verdict').getByText(/switched off/), 'why it is disabled');
    await button('Edit').click();
    await dialog().getByText('Everything, as JSON').click();
    await dialog().getByLabel('JSON', { exact: true }).fill(JSON.stringify({ ...json, enabled: false, max_failures: 4, maxFailurs: 9 }));
    await dialog().getByRole('button', { name: 'Save' }).click();
    await see(dialog().getByRole('alert').getByText(/nobody knows a setting of this name: maxFailurs\./), 'a setting that nobody knows');
    await page.keyboard.press('Escape');
    await button('Delete').click();
    await see(dialog().getByText(/for good/), 'the warning');
    await dialog().getByRole('button', { name: 'Delete newcomer' }).click();
    await see(page.getByRole('heading', { level: 1, name: 'Providers' }), 'the list');
    await until('it is gone', async () => !(await region('All providers').first().innerText()).includes('newcomer'));
  },

  async 'change the policy and have a request explained'() {
    await visit('routing');
    await button('Edit the policy').click();
    await dialog().getByLabel('Prefers').selectOption('reliability');
    await accessible('policy-form', ['dark']);
    await dialog().getByRole('button', { name: 'Save' }).click();
    await until('the policy changes', async () => /Prefers\s*reliability/.test(await region('Policy').innerText()));
    const body = { model: 'anything', max_tokens: 20000, thinking: { type: 'enabled', budget_tokens: 16000 }, messages: [{ role: 'user', content: 'Prove it.' }] };
    await page.getByLabel('Request body').fill(JSON.stringify(body));
    await button('Explain').click();
    await see(region('What would happen'), 'the explanation');
    const said = await region('What would happen').first().innerText();
    want(/Class\s*thinking/.test(said), `the class is not told: ${said}`);
    want(/steady\/text/.test(await page.getByRole('list', { name: 'It would be tried in this order:' }).innerText()), 'the chain is not told');
    const sick = page.getByRole('group', { name: 'Candidates' }).getByRole('row', { name: /^sick\s*text/ });
    want(/circuit open|probe/i.test(await sick.innerText()), `why sick does not serve is not told: ${await sick.innerText()}`);
    await until('what was decided lately is told', async () => /steady\/text/.test(await region('Decisions of the last minute').innerText()));
    await accessible('routing');
    await page.getByLabel('Request body').fill('{"model": 5');
    await button('Explain').click();
    await see(page.getByText('It would be refused: model: must be a string'), 'what is wrong with a body');
  },

  async 'see how far the nodes are'() {
    await visit('nodes');
    const row = region('All nodes').getByRole('row', { name: /node-1/ });
    await see(row.getByText('In step'), 'the node in step');
    const revision = await page.locator('.facts code').first().innerText();
    await until('the node has the revision', async () => (await row.innerText()).includes(revision));
    want((await region('How fast revisions spread').getByRole('row').count()) > 2, 'the revisions written by now are not listed');
    await accessible('nodes');
  },

  async 'follow a request that failed over'() {
    await visit('requests');
    await see(page.getByText('<img src=x onerror=alert(1)>').first(), 'the name that a hostile caller asked for, as text');
    await page.getByLabel('Only with a failure on the way').check();
    await page.getByLabel('Provider').fill('sick');
    await page.getByLabel('Status').selectOption('2xx');
    await until('only what was rescued is shown', async () => {
      const results = await region('Latest requests').getByText(/^[✓✕–] /).allInnerTexts();
      return results.length > 0 && results.every((text) => text.startsWith('✓ after'));
    });
    want(/status%3D2xx/.test(page.url()) && /provider%3Dsick/.test(page.url()), `the address does not tell what is looked for: ${page.url()}`);
    await page.getByRole('button', { name: /^Show the decision/ }).first().click();
    await see(page.getByText('Paused while a decision is open.'), 'that nothing moves while one reads');
    const attempts = page.getByRole('group', { name: 'Attempts' });
    await see(attempts, 'the attempts');
    const told = (await attempts.innerText()).replaceAll(/\s+/g, ' ');
    want(/1\. sick\/text ✕ server_error 500.*2\. \S+ ✓ good/.test(told), `the decision is not whole: ${told}`);
    want(/steady|spare/.test(await page.locator('.decision').innerText()), 'who else was in line is not told');
    await accessible('requests');
    const newest = () => region('Latest requests').getByRole('row').nth(1).getByRole('button').getAttribute('aria-label');
    const held = await newest();
    await page.waitForTimeout(1500); // longer than a round
    want(held === (await newest()), 'held, but it moves');
    await page.getByRole('button', { name: /^Hide the decision/ }).click();
    await gone(page.getByText('Paused while a decision is open.'));
    await button('Pause').click();
    await see(button('Go on'), 'how to go on');
    await visit('requests/class=vision');
    await see(page.getByText('None of the latest 2,048 requests is like that.'), 'that there is none');
    want((await page.getByLabel('Class').inputValue()) === 'vision', 'the address does not fill the form');
  },

  async 'make a key, limit it, see who uses what, and revoke it'() {
    await visit('limits');
    await see(region('Top consumers of today').getByRole('row', { name: /anonymous/ }), 'who has used something');
    await button('Create a key').click();
    await dialog().getByLabel('Name').fill('<img src=x onerror=alert(1)>');
    await dialog().getByLabel('Models').fill('any*, other');
    await dialog().getByLabel('Requests at once').fill('5');
    await dialog().getByLabel('Valid for days').fill('30');
    await accessible('key-form', ['light']);
    await dialog().getByRole('button', { name: 'Create' }).click();
    await see(dialog().getByLabel('Key', { exact: true }), 'the key');
    const whole = await dialog().getByLabel('Key', { exact: true }).inputValue();
    want(/^aimux_/.test(whole), `the key is ${whole}`);
    await dialog().getByRole('button', { name: 'I have it' }).click();
    await gone(dialog());
    const row = region('Client keys').getByRole('row', { name: /active/ });
    await see(row.getByText('any*'), 'what the key may use');
    want((await row.innerText()).includes('<img src=x onerror=alert(1)>'), 'the name is not shown as it is');
    want(!(await page.content()).includes(whole), 'the key is still somewhere on the page');
    await button('Set a limit').click();
    await dialog().getByLabel('Of').fill('all');
    await dialog().getByLabel('Requests at once').fill('500');
    await dialog().getByRole('button', { name: 'Save' }).click();
    await gone(dialog());
    await see(region('How far limits are used').getByRole('row', { name: /all requests at once/ }), 'how far the limit is used');
    await accessible('limits');
    await button('Edit the limits of all').click();
    await dialog().getByLabel('Requests at once').fill('many');
    await dialog().getByRole('button', { name: 'Save' }).click();
    await see(dialog().getByRole('alert'), 'that many is no number');
    await page.keyboard.press('Escape');
    await row.getByRole('button', { name: /^Revoke/ }).click();
    await dialog().getByRole('button', { name: 'Revoke' }).click();
    await gone(dialog());
    await see(region('Client keys').getByRole('row', { name: /revoked/ }), 'that it is revoked');
  },

  async 'know what is old'() {
    await visit('');
    await context.setOffline(true);
    await see(page.getByRole('status').getByText(/^Not connected: .* Shown is what was at/), 'that nothing new comes');
    want(/sick/.test(await page.locator('.troubles').innerText()), 'what was known is not shown any more');
    await page.screenshot({ path: `${pictures}/stale.png` });
    await context.setOffline(false);
    await see(page.getByText(/^Live from/), 'that it is live again');
  },

  async 'read it on a telephone'() {
    for (const name of ['', 'providers', 'providers/sick', 'routing', 'nodes', 'limits', 'requests']) {
      await visit(name);
      await fits(`narrow-${name.replace('/', '-') || 'overview'}`, [390]);
    }
  },
};

await perform(jobs, (job, text) => job === 'know what is old' && /ERR_INTERNET_DISCONNECTED/.test(text) || /status of 400/.test(text));
