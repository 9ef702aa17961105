// Signs in to the dashboard as a person would: node signin.mjs CHROMIUM ADMIN-URL TOKEN. Says "done", or what went wrong.

import { chromium } from 'playwright-core';

const [, , executablePath, base, token] = process.argv;
const browser = await chromium.launch({ executablePath, args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });

const heading = (page, name) => page.getByRole('heading', { level: 1, name }).waitFor({ timeout: 15_000 });

function want(truth, what) {
  if (!truth) throw new Error(what);
}

try {
  const page = await (await browser.newContext()).newPage();
  await page.goto(base);
  await heading(page, 'Sign in');
  await page.getByLabel('Token').fill('aimuxadm_local_wrong');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('is not one of this cluster').waitFor({ timeout: 15_000 });
  await page.getByLabel('Token').fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await heading(page, 'Overview');

  // By the address that aimux up prints: the token leaves it at once.
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
  console.log('done');
} catch (error) {
  console.log(error.message);
} finally {
  await browser.close();
}
