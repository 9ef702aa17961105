// Looks at clusters that are larger, emptier or more broken than a test can run: what the admin API would answer is made up here.

import { accessible, button, fits, page, perform, region, see, until, visit, want } from './person.mjs';

const hostile = '<img src=x onerror=alert(1)>';
const long = 'a-provider-with-an-id-as-long-as-an-id-may-be-which-is-sixty-3';

// cluster is what the next answers are made of.
const cluster = {};

function become(settings) {
  Object.assign(cluster, {
    providers: 50, models: 10, nodes: 30, keys: 500, state: () => 'STATE_HEALTHY', perSecond: 0, role: 'admin', expired: false, source: 'cp-1', revision: 7, uses: [], asked: {}, bytes: 0, number: 0,
  }, settings);
}

const id = (i) => (i === 49 ? long : `provider-${String(i).padStart(2, '0')}`);
const each = (n, make) => Array.from({ length: n }, (_, i) => make(i));
const models = (i) => each(cluster.models, (k) => `model-${i}-${k}`);

function targets() {
  return each(cluster.providers, (i) => [undefined, ...models(i)].map((model) => {
    const state = cluster.state(i, model);
    return { provider: id(i), model, state, weightPpm: state === 'STATE_HEALTHY' ? 1e6 : 0, successPpm: 998e3, firstTokenMs: 210, usualFirstTokenMs: 200, inFlight: i % 3, sinceUnixMs: String(Date.now() - 60e3), reason: state === 'STATE_HEALTHY' ? 'no trouble seen' : '5 hard failures in a row; next probe in 8.0 s' };
  })).flat();
}

function requests({ after, limit }) {
  cluster.number += cluster.perSecond;
  const fresh = Math.min(cluster.number - Math.min(Number(after ?? 0), cluster.number), Number(limit || 500));
  const provider = (i) => id(i % Math.max(1, cluster.providers));
  return {
    last: String(cluster.number), failed: '0', source: cluster.source, requests: each(fresh, (k) => {
      const i = cluster.number - fresh + k;
      return {
        requestId: `req_${i}`, caller: `клиент-${i % 7}`, team: hostile, protocol: 'anthropic', requestedModel: i % 5 ? 'claude-sonnet-5-5' : `${hostile} モデル ${'x'.repeat(200)}`, class: 'standard', stream: true,
        startedUnixMs: String(Date.now() - 900), durationMs: 800, firstByteMs: 210, status: 200, reason: 'adaptive', node: 'node-1', inputTokens: '100', outputTokens: '50', costNanoUsd: '120000',
        attempts: [{ target: { provider: provider(i), model: `model-${i % 50}-0` }, status: 200, firstTokenMs: 210, durationMs: 800 }],
        candidates: each(5, (n) => `${provider(i + n)}/model-0`), passedOver: [{ target: `${provider(i + 9)}/model-0`, reason: hostile }],
      };
    }),
  };
}

// answers by procedure.
const answers = {
  'HealthService/GetHealth': () => ({ health: { header: { leader: 'cp-1' }, targets: targets(), transitions: [] } }),
  'HealthService/ListTransitions': () => ({}),
  'NodeService/ListNodes': () => ({
    revision: String(cluster.revision), nodes: each(cluster.nodes, (i) => ({
      live: true, lastHeardUnixMs: String(Date.now()), outlier: i === 11, heartbeat: { node: `node-${i + 1}`, region: ['eu-west', 'us-east', '東京'][i % 3], address: '127.0.0.1:8080', applied: { configRevision: '7' }, inFlight: 3, source: 'cp-1', startedUnixMs: String(Date.now() - 3600e3), version: 'test' },
    })),
  }),
  'NodeService/GetConvergence': () => ({}),
  'ProviderService/ListProviders': () => ({ revision: String(cluster.revision), providers: each(cluster.providers, (i) => ({ id: id(i), enabled: true, provider: { kind: 'compatible' }, state: 'STATE_HEALTHY' })) }),
  'TableService/GetTable': () => ({
    config: { policy: { priority: 'balanced', loadBalancer: 'adaptive', maxAttempts: 3 }, providers: each(cluster.providers, (i) => ({ id: id(i), name: i % 9 ? `Provider ${i}` : `${hostile} “Ein sehr langer Name”, ${'второй этаж, '.repeat(8)} 東京`, kind: 'compatible', region: 'eu-west', enabled: true, models: models(i).map((name) => ({ id: name })) })) },
  }),
  'RoutingService/GetRouting': () => ({ routing: {} }),
  'UsageService/GetUsage': () => ({ usage: each(cluster.providers, (i) => models(i).map((model) => ({ provider: id(i), model, requests: String(Date.now() % 1e9), failures: '0', costUsd: 1 }))).flat() }),
  'UsageService/ListRequests': requests,
  'TokenService/WhoAmI': () => ({ actor: 'token:me', role: cluster.role }),
  'LimitService/ListUses': () => ({ uses: cluster.uses }),
  'LimitService/ListLimits': () => ({ limits: each(cluster.keys && 40, (i) => ({ scope: `key/client-${i}`, limits: { requestsPerMinute: 60 } })) }),
  'LedgerService/SumUsage': () => ({ sums: each(10, (i) => ({ key: `client-${i}`, team: 'red', requests: '1000', costUsd: 12.5 })) }),
  'KeyService/ListKeys': () => ({ keys: each(cluster.keys, (i) => ({ id: `client-${i}`, state: 'active', key: { name: i % 4 ? `Name ${i}` : `${hostile} ${i}`, team: 'red' } })) }),
  'KeyService/ListTeams': () => ({ teams: [] }),
};

await page.route(/aimux\.admin\.v1|healthz/, (route) => {
  const url = route.request().url();
  const procedure = url.replace(/.*aimux\.admin\.v1\./, '');
  cluster.asked[procedure] = (cluster.asked[procedure] ?? 0) + 1;
  if (cluster.expired) return route.fulfill({ status: 401, contentType: 'application/json', body: JSON.stringify({ code: 'unauthenticated', message: 'the token has expired' }) });
  const answer = url.endsWith('/healthz') ? { control_plane: cluster.source, leading: true, leader: cluster.source, version: 'test' } : answers[procedure](route.request().postDataJSON() ?? {});
  const body = JSON.stringify(answer);
  cluster.bytes += body.length;
  return route.fulfill({ contentType: 'application/json', body });
});

async function opened(name, settings) {
  become(settings);
  await page.goto('about:blank');
  await visit(name);
}

await perform({
  async 'say what to do where nothing is set up'() {
    await opened('', { providers: 0, nodes: 1, keys: 0 });
    await see(page.getByRole('heading', { name: 'No provider is set up yet' }), 'what is missing');
    await accessible('empty', ['dark']);
    await page.getByRole('link', { name: 'Add a provider' }).click();
    await see(button('Add a provider'), 'where to add one');
    for (const name of ['limits', 'requests', 'routing', 'nodes']) await visit(name);
    await fits('empty-phone', [390]);
  },

  async 'find the sick one among fifty'() {
    await opened('', { state: (i) => (i === 17 ? 'STATE_CIRCUIT_OPEN' : 'STATE_HEALTHY') });
    await until('the sick one is named', async () => /Circuit open\s*provider-17/.test(await page.locator('.troubles').innerText()));
    want(/^provider-17/.test(await region('Providers').getByRole('rowheader').first().innerText()), 'it is not the first of the table');
    await fits('fifty-overview', [1440, 1024, 390]);
    await accessible('fifty-overview');
    await page.getByRole('link', { name: 'All 50 providers' }).click();
    await see(page.getByLabel('Find a provider'), 'a field to find one');
    await accessible('fifty-providers', ['dark']);
    await fits('fifty-providers', [1440, 1024, 390]);
    await page.getByLabel('Find a provider').fill('model-31-4');
    await see(region('1 of 50 providers').getByRole('rowheader', { name: /^provider-31/ }), 'the one that has the model');
    await visit(`providers/${long}`);
    await fits('long-name', [390]);
  },

  async 'oversee thirty nodes in three regions'() {
    await opened('nodes', {});
    want((await region('Regions').getByRole('row').count()) === 4, 'the regions are not summed up');
    want(/^node-12\s/.test(await region('All nodes').getByRole('row').nth(1).innerText()), 'the odd node is not the first');
    await accessible('thirty-nodes', ['light']);
    await fits('thirty-nodes', [1440, 390]);
  },

  async 'find a key among five hundred, and see what is full'() {
    await opened('limits', {
      uses: [{ scope: 'key/client-3', what: 'requests', used: 75, limit: 60, refused: '4100' }, { scope: 'all', what: 'dollars_per_month', used: 1000, limit: 1000, refused: '12' }, { scope: 'team/red', what: 'tokens', used: 10, limit: 1000 }],
    });
    await see(region('How far limits are used').getByRole('row', { name: /key\/client-3.*4,100/ }), 'what is over its limit');
    want((await region('Client keys').getByRole('row').count()) <= 21, 'all keys are shown at once');
    await accessible('many-keys', ['light']);
    await fits('many-keys', [1024, 390]);
    await page.getByLabel('Find a key').fill('client-437');
    await until('only that key is shown', async () => (await region('Client keys').getByRole('row').count()) === 2);
    await page.getByLabel('Find a key').fill('');
    await page.getByRole('button', { name: /^Show 50 more of Client keys/ }).click();
    await until('more keys are shown', async () => (await region('Client keys').getByRole('row').count()) === 71);
  },

  async 'see that all are sick'() {
    await opened('', { state: () => 'STATE_CIRCUIT_OPEN' });
    await see(page.getByRole('heading', { name: /^No provider is well/ }), 'the worst there is');
    want((await page.locator('.troubles li').count()) <= 12, 'the list of troubles is endless');
    await accessible('all-sick', ['dark']);
    await fits('all-sick', [390]);
  },

  async 'look on as a viewer'() {
    await opened('providers/provider-03', { role: 'viewer' });
    for (const name of ['Drain', 'Force open', 'Force closed', 'Edit', 'Delete']) await until(`no button ${name}`, async () => (await button(name).count()) === 0);
    for (const [name, refused] of [['providers', 'Add a provider'], ['routing', 'Edit the policy'], ['limits', 'Create a key'], ['limits', 'Set a limit']]) {
      await visit(name);
      want((await button(refused).count()) === 0, `${refused} would be refused to a viewer`);
    }
    await until('no key can be revoked', async () => (await region('Client keys').getByRole('row').count()) > 2 && (await page.getByRole('button', { name: /^Revoke/ }).count()) === 0);
    await accessible('viewer', ['light']);
  },

  async 'sign in again where the token expires'() {
    await opened('nodes', {});
    await page.evaluate(() => sessionStorage.setItem('aimux-token', 'aimuxadm_old'));
    cluster.expired = true;
    await see(page.getByRole('heading', { level: 1, name: 'Sign in' }), 'that a token is wanted');
    await see(page.getByText('the token has expired'), 'why');
    await accessible('expired', ['dark']);
    cluster.expired = false;
    await page.getByLabel('Token').fill('aimuxadm_another');
    await page.keyboard.press('Enter');
    await see(page.getByRole('heading', { level: 1, name: 'Nodes' }), 'the page that was left');
  },

  async 'go on when another control plane answers'() {
    await opened('', { perSecond: 20 });
    await until('requests are counted', async () => !/^(–|0)/.test(await page.locator('.figure .value').first().innerText()));
    become({ source: 'cp-2', revision: 9, perSecond: 20, providers: 3 });
    await see(page.getByText(/^Live from cp-2/), 'who answers now');
    await until('the providers that it knows', async () => (await region('Providers').getByRole('rowheader').count()) === 3);
    await until('figures go on', async () => !/^(–|0)/.test(await page.locator('.figure .value').first().innerText()));
  },

  async 'stay small at two hundred requests a second'() {
    await opened('requests', { perSecond: 200 });
    await until('a few rounds', () => (cluster.asked['HealthService/GetHealth'] ?? 0) >= 4);
    want((await region('Latest requests').getByRole('row').count()) <= 101, 'more rows than a person reads');
    want((await page.locator('*').count()) < 8000, 'the page grows');
    want((await page.locator('main img').count()) === 0, 'a name became markup');
    await see(page.getByText(hostile).first(), 'a hostile name as it is');
    await fits('busy-requests', [1024, 390]);
    await page.getByRole('button', { name: /^Show the decision/ }).first().click();
    await see(page.getByText('Paused while a decision is open.'), 'that it stands still');
    await accessible('busy-requests', ['light']);
    // What an open dashboard costs, by rounds of the health that is asked for each second.
    await opened('', { perSecond: 200 });
    await until('some rounds', () => (cluster.asked['HealthService/GetHealth'] ?? 0) >= 6);
    const calls = Object.values(cluster.asked).reduce((a, b) => a + b, 0);
    want(calls / cluster.asked['HealthService/GetHealth'] < 6.5 && !cluster.asked['NodeService/GetConvergence'], `${calls} calls for some rounds: ${JSON.stringify(cluster.asked)}`);
    want(cluster.bytes / cluster.asked['HealthService/GetHealth'] < 400e3, `${cluster.bytes} bytes of JSON for some rounds`);
  },
}, (job, text) => /status of 401/.test(text));
