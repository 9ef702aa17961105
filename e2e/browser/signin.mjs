// Signs in to the dashboard of an aimux that wants the token behind the pictures.

import { base, browser, page, perform, see, want, words } from './person.mjs';

const [token] = words;
const heading = (where, name) => see(where.getByRole('heading', { level: 1, name }), name);

await perform({
  async 'sign in with a wrong token, then the right one'() {
    await page.goto(base);
    await heading(page, 'Sign in');
    await page.getByLabel('Token').fill('aimuxadm_local_wrong');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await see(page.getByText('is not one of this cluster'), 'why it is refused');
    await page.getByLabel('Token').fill(token);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await heading(page, 'Overview');
  },

  // By the address that aimux up prints: the token leaves it at once.
  async 'sign in by the printed address'() {
    const other = await (await browser.newContext()).newPage();
    await other.goto(`${base}/#token=${token}`);
    await heading(other, 'Overview');
    want(!other.url().includes(token), `the token stays in the address: ${other.url()}`);
    await other.goBack().catch(() => null);
    want(!other.url().includes(token), 'the token stays in the history');
    // Another tab of the same browser knows nothing of it.
    const third = await other.context().newPage();
    await third.goto(base);
    await heading(third, 'Sign in');
  },
}, (job, text) => /status of 401/.test(text));
