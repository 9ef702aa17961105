// A person at a browser: looks, clicks and types, and complains of what no page may do. Each script that is run as
// node SCRIPT.mjs CHROMIUM ADMIN-URL PICTURES gives perform its jobs, and prints a line of JSON for each: its name, how long it took, and what went wrong.

import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

export const [, , executablePath, base, pictures, ...words] = process.argv;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const soon = 30_000; // milliseconds after which something does not come; a busy machine takes its time

mkdirSync(pictures, { recursive: true });
export const browser = await chromium.launch({
  executablePath,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
export const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, colorScheme: 'light' });
context.setDefaultTimeout(soon);
export const page = await context.newPage();

// What no page may do: complain, break its own policy, or ask anybody else.
const complaints = [];
page.on('console', (message) => ['error', 'warning'].includes(message.type()) && complaints.push(message.text()));
page.on('pageerror', (error) => complaints.push(error.stack));
page.on('request', (request) => new URL(request.url()).origin === new URL(base).origin || complaints.push(`asked ${request.url()}`));

export const region = (name) => page.getByRole('region', { name, exact: true });
export const button = (name) => page.getByRole('button', { name, exact: true });
export const dialog = () => page.getByRole('dialog');

export async function see(locator, what) {
  await locator.first().waitFor({ state: 'visible', timeout: soon }).catch(() => { throw new Error(`${what}: not seen`); });
}

export async function gone(locator) {
  await locator.first().waitFor({ state: 'hidden', timeout: soon });
}

export async function until(what, condition) {
  for (const end = Date.now() + soon; Date.now() < end; await page.waitForTimeout(50)) {
    if (await condition()) return;
  }
  throw new Error(`${what}: not within ${soon} ms`);
}

export function want(truth, what) {
  if (!truth) throw new Error(what);
}

export async function visit(name) {
  await page.goto(`${base}/#/${name}`);
  await see(page.getByRole('heading', { level: 1 }), `the heading of ${name}`);
}

// accessible has axe look at the page as it is, in light and dark, and takes its picture in both; of a dialog, one is enough.
export async function accessible(name, schemes = ['light', 'dark']) {
  for (const colorScheme of schemes) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
    await page.screenshot({ path: `${pictures}/${name}-${colorScheme}.png`, fullPage: !(await dialog().count()) });
    want(!violations.length, `${name}, ${colorScheme}: ${violations.map((one) => `${one.id} (${one.nodes.map((node) => `${node.target.join(' ')}: ${node.failureSummary}`).join('; ')})`).join('; ')}`);
  }
  await page.emulateMedia({ colorScheme: 'light' });
}

// fits looks at the page at each width: nothing may be wider than the screen.
export async function fits(name, widths) {
  for (const width of widths) {
    await page.setViewportSize({ width, height: width < 500 ? 800 : 900 });
    await page.waitForTimeout(100);
    const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    want(over <= 0, `${name} is ${over} pixels wider than a screen of ${width}`);
    await page.screenshot({ path: `${pictures}/${name}-${width}.png` });
  }
  await page.setViewportSize({ width: 1280, height: 860 });
}

// perform does the jobs one after the other. expected says of which complaints a job is the cause.
export async function perform(jobs, expected = () => false) {
  for (const [job, doing] of Object.entries(jobs)) {
    const began = Date.now();
    let problem = '';
    try {
      await doing();
    } catch (error) {
      problem = error.message;
      await page.screenshot({ path: `${pictures}/failed-${job.replaceAll(/\W+/g, '-')}.png` });
      await context.setOffline(false);
    }
    const said = complaints.splice(0).filter((text) => !expected(job, text));
    console.log(JSON.stringify({ job, ms: Date.now() - began, problem: [problem, ...said].filter(Boolean).join('\n') }));
  }
  await browser.close();
}
