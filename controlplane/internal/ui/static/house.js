// What is known of the running aimux: asked every second while somebody looks, with a bounded history. Everybody reads it; only this
// file writes it.

import { call, page } from './rpc.js';
import { Counter, Series, quantile } from './series.js';

const interval = 1000; // milliseconds between two rounds
const staleAfter = 3000;
const requestsMax = 2000;
const transitionsMax = 500;
const window = 60e3; // milliseconds over which percentiles and shares are taken
const moment = 10e3; // and those of the sparklines

export const house = {
  // Answers of the admin API, as they came.
  health: { targets: [] },
  config: { providers: [], policy: {} },
  entries: [],
  routing: {},
  revision: 0,
  nodes: [],
  usage: [],
  convergence: [],
  standing: {},
  // requests and transitions, newest last.
  requests: [],
  transitions: [],
  unreported: 0,
  // ready after the first round; heard is when the last round went well, trouble why the latest did not.
  ready: false,
  heard: 0,
  trouble: '',
  // locked is why the admin API wants another token; empty while it is content. Nothing is asked until there is one.
  locked: '',
  series: { rate: new Series(), failed: new Series(), success: new Series(), first: new Series(), total: new Series(), spend: new Series(), flight: new Series() },
  // by provider: {rate, failed, success, first} series and usual; rate and failed are per second, usual is the first token's usual time.
  providers: new Map(),
};

const listeners = new Set();
const counters = new Map();
let last = '0';
let source = '';
let pending = null;

// watch calls back after every round.
export function watch(listener) {
  listeners.add(listener);
}

// stale says that what is shown may be of the past.
export function stale() {
  return Date.now() - house.heard > staleAfter;
}

// changed has everything drawn anew.
export function changed() {
  listeners.forEach((listener) => listener());
}

// refresh asks now, with everything that is asked only on a change of revision: after a write.
export async function refresh() {
  house.revision = 0;
  clearTimeout(pending);
  await round();
}

// begin asks every second from now on; a hidden page asks nothing.
export function begin() {
  document.addEventListener('visibilitychange', () => {
    clearTimeout(pending);
    if (!document.hidden) round();
  });
  round();
}

// troubles by the browser's name of an error that is not the admin API's.
const troubles = { TimeoutError: 'the admin API does not answer in time', TypeError: 'the admin API cannot be reached' };

let turn = 0;

async function round() {
  const mine = ++turn; // a later round, begun by a write, takes over
  try {
    const take = await ask();
    if (mine !== turn) return;
    take();
    house.heard = Date.now();
    house.trouble = '';
    house.locked = '';
    house.ready = true;
  } catch (error) {
    house.trouble = troubles[error.name] ?? error.message;
    if (mine === turn) house.locked = error.code === 'unauthenticated' ? error.message : '';
  }
  if (mine !== turn) return;
  changed();
  if (!document.hidden && !house.locked) pending = setTimeout(round, interval);
}

// ask returns what takes its answers.
async function ask() {
  const [health, usage, nodes, requests, convergence, standing] = await Promise.all([
    call('HealthService/GetHealth'), call('UsageService/GetUsage'), call('NodeService/ListNodes'),
    call('UsageService/ListRequests', { after: last }), call('NodeService/GetConvergence'), page('/healthz'),
  ]);
  if (String(nodes.revision) !== String(house.revision)) await askCatalog();
  return () => {
    house.health = { targets: [], ...health.health };
    house.usage = usage.usage ?? [];
    house.nodes = nodes.nodes ?? [];
    house.convergence = convergence.recent ?? [];
    house.standing = standing;
    const now = Date.now();
    takeRequests(requests, now);
    takeTransitions(house.health.transitions ?? []);
    takeProviders(now);
  };
}

async function askCatalog() {
  const [table, list, routing] = await Promise.all([
    call('TableService/GetTable'), call('ProviderService/ListProviders'), call('RoutingService/GetRouting'),
  ]);
  house.config = { providers: [], policy: {}, ...table.config };
  house.entries = list.providers ?? [];
  house.routing = routing.routing ?? {};
  house.revision = list.revision;
}

function counter(name) {
  if (!counters.has(name)) counters.set(name, new Counter());
  return counters.get(name);
}

function takeRequests(answer, now) {
  if (answer.source !== source) {
    house.requests = [];
    counters.clear();
    source = answer.source;
  }
  const fresh = (answer.requests ?? []).map((request, i, all) => ({ ...request, number: Number(answer.last) - all.length + i + 1 }));
  if (Number(answer.last) >= Number(last)) house.requests.push(...fresh.filter((request) => request.number > (house.requests.at(-1)?.number ?? 0)));
  house.requests.splice(0, house.requests.length - requestsMax);
  last = answer.last ?? '0';
  house.unreported = Number(answer.unreported ?? 0);
  const { series } = house;
  const ended = counter('requests').delta(Number(last) + house.unreported, now);
  const failed = counter('failed').delta(Number(answer.failed ?? 0), now);
  series.rate.push(ended && ended.perSecond);
  series.failed.push(failed && failed.perSecond);
  series.success.push(ended?.grown ? 1 - Math.min(1, (failed?.grown ?? 0) / ended.grown) : null);
  const lately = recent(now, moment);
  series.first.push(quantile(firsts(lately), 0.5));
  series.total.push(quantile(lately.map((request) => request.durationMs ?? 0), 0.5));
}

function takeTransitions(told) {
  const known = new Set(house.transitions.map(transitionKey));
  house.transitions.push(...told.filter((one) => !known.has(transitionKey(one))));
  house.transitions.splice(0, house.transitions.length - transitionsMax);
}

export function transitionKey(one) {
  return [one.atUnixMs, one.provider, one.model, one.credential, one.to].join('|');
}

function takeProviders(now) {
  let cost = 0;
  let flight = 0;
  const ids = new Set(house.entries.map((entry) => entry.id));
  house.providers.forEach((_, id) => ids.has(id) || house.providers.delete(id));
  for (const id of ids) {
    const used = total(house.usage.filter((usage) => usage.provider === id));
    cost += used.cost;
    const target = targetOf(id) ?? {};
    flight += target.inFlight ?? 0;
    if (!house.providers.has(id)) house.providers.set(id, { rate: new Series(), failed: new Series(), success: new Series(), first: new Series() });
    const mine = house.providers.get(id);
    const ended = counter(`requests of ${id}`).delta(used.requests, now);
    const failed = counter(`failures of ${id}`).delta(used.failures, now);
    mine.rate.push(ended && ended.perSecond);
    mine.failed.push(failed && failed.perSecond);
    mine.success.push(ended?.grown ? 1 - Math.min(1, (failed?.grown ?? 0) / ended.grown) : null);
    const good = recent(now, moment).flatMap((request) => tries(request, id)).filter(({ firstTokenMs }) => firstTokenMs > 0);
    mine.first.push(quantile(good.map(({ firstTokenMs }) => firstTokenMs), 0.5));
    mine.usual = quantile(good.map((attempt) => targetOf(id, attempt.target.model)?.usualFirstTokenMs ?? 0), 0.5);
  }
  const spent = counter('cost').delta(cost, now);
  house.series.spend.push(spent && spent.perSecond * 3600);
  house.series.flight.push(Math.max(flight, house.nodes.reduce((sum, node) => sum + (node.heartbeat.inFlight ?? 0), 0)));
}

function tries(request, id) {
  return (request.attempts ?? []).filter((attempt) => attempt.target?.provider === id && !wentWrong(attempt));
}

// wentWrong says whether a request or an attempt failed.
export function wentWrong({ fault }) {
  return Boolean(fault) && fault !== 'ok' && fault !== 'canceled';
}

// recent are the requests that ended within so many milliseconds.
export function recent(now = Date.now(), span = window) {
  return house.requests.filter((request) => Number(request.startedUnixMs) + (request.durationMs ?? 0) > now - span);
}

// firsts are the times to the first token, in milliseconds, of requests whose answer was streamed.
export function firsts(requests) {
  return requests.filter((request) => request.stream).map((request) => request.attempts?.at(-1)?.firstTokenMs ?? request.firstByteMs ?? 0).filter((ms) => ms > 0);
}

// total of usage entries.
export function total(entries) {
  const sum = { requests: 0, failures: 0, input: 0, output: 0, cost: 0 };
  for (const one of entries) {
    sum.requests += Number(one.requests ?? 0);
    sum.failures += Number(one.failures ?? 0);
    sum.input += Number(one.inputTokens ?? 0);
    sum.output += Number(one.outputTokens ?? 0);
    sum.cost += one.costUsd ?? 0;
  }
  return sum;
}

// targetOf is the health of a provider as a whole, or of one of its models.
export function targetOf(provider, model) {
  return house.health.targets.find((target) => target.provider === provider && (target.model ?? '') === (model ?? '') && !target.credential);
}

// settingsOf is the provider as the nodes have it, with everything filled in.
export function settingsOf(id) {
  return house.config.providers?.find((provider) => provider.id === id) ?? {};
}
