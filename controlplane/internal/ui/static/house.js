// What is known of the running aimux: asked every second while somebody looks, with a bounded history. Everybody reads it; only this
// file writes it. What changes seldom is asked seldom, so that an open dashboard costs the control plane little.

import { call, now as time, page } from './rpc.js';
import { Counter, Series, quantile } from './series.js';

const interval = 1000; // milliseconds between two rounds
const rest = 8; // a round that took long is followed by a pause of so many times as long
const pauseMax = 10e3;
const staleAfter = 3000;
const sampleMax = 50; // requests that are asked for in a round: more would tell the percentiles no better
const requestsMax = 6000;
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
  standing: {},
  // role is what the token may do; empty as long as that is not known.
  role: '',
  // requests are a sample of those that ended lately, newest last: {id, ended, ms, first, class, place, tries, wrong, good}, in milliseconds; good
  // are the attempts that went well. transitions newest last.
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
  return Date.now() - house.heard > staleAfter + pause;
}

// changed has everything drawn anew.
export function changed() {
  listeners.forEach((listener) => listener());
}

// refresh asks now, with everything that is asked only on a change of revision: after a write.
export async function refresh() {
  house.revision = 0;
  due.clear();
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

const roles = ['viewer', 'operator', 'admin'];

// may says whether the person may do what takes a role. What is not known yet is tried; the admin API decides.
export function may(role) {
  return !house.role || roles.indexOf(house.role) >= roles.indexOf(role);
}

let wished = null;

// wish has a question asked in every round, that of the page that is shown, in the place of the one before. It takes its answer by itself.
export function wish(question) {
  wished = question ?? null;
}

// soon asks again at once: when another page is shown.
export function soon() {
  clearTimeout(pending);
  if (!house.locked) round();
}

let pause = 0; // milliseconds until the next round

const due = new Map(); // when what is asked seldom is asked next

// seldom asks at most so often, in milliseconds, and gives what take is to be called with; null in between.
async function seldom(name, span, question) {
  if ((due.get(name) ?? 0) > Date.now()) return null;
  const answer = await question();
  due.set(name, Date.now() + span - interval / 2);
  return answer;
}

async function round() {
  const mine = ++turn; // a later round, begun by a write, takes over
  const began = performance.now();
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
    if (house.locked) house.role = '';
  }
  if (mine !== turn) return;
  const heard = performance.now();
  changed();
  const took = performance.now() - heard + (house.trouble ? 0 : (heard - began) / 4);
  pause = Math.min(Math.max(interval - (heard - began), interval / 2, rest * took), pauseMax);
  if (!document.hidden && !house.locked) pending = setTimeout(round, pause);
}

// ask returns what takes its answers.
async function ask() {
  const [health, requests, usage, nodes, standing, who] = await Promise.all([
    call('HealthService/GetHealth'), call('UsageService/ListRequests', { after: last, limit: sampleMax }),
    seldom('usage', 2000, () => call('UsageService/GetUsage')), seldom('nodes', 2000, () => call('NodeService/ListNodes')),
    seldom('standing', 3000, () => page('/healthz')), seldom('who', 30e3, () => call('TokenService/WhoAmI')),
    wished?.(),
  ]);
  if (nodes && String(nodes.revision) !== String(house.revision)) await askCatalog();
  return () => {
    house.health = { targets: [], ...health.health };
    targets = new Map(house.health.targets.filter((target) => !target.credential).map((target) => [`${target.provider}|${target.model ?? ''}`, target]));
    if (usage) house.usage = usage.usage ?? [];
    if (nodes) house.nodes = nodes.nodes ?? [];
    house.standing = standing ?? house.standing;
    house.role = who?.role ?? house.role;
    const now = time();
    takeRequests(requests, now);
    takeTransitions(house.health.transitions ?? []);
    takeProviders(now, usage !== null);
  };
}

let targets = new Map(); // health by provider|model

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
  if (Number(answer.last) >= Number(last)) house.requests.push(...(answer.requests ?? []).map(brief));
  house.requests = recent(now).slice(-requestsMax);
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
  series.total.push(quantile(lately.map(({ ms }) => ms), 0.5));
}

// brief keeps of a request what figures are made of.
function brief(request) {
  const attempts = request.attempts ?? [];
  const last = attempts.at(-1);
  return {
    ended: endedAt(request), ms: request.durationMs ?? 0, first: request.stream ? last?.firstTokenMs ?? request.firstByteMs ?? 0 : 0,
    class: request.class ?? '', place: last?.target ? `${last.target.provider}/${last.target.model}` : '', tries: attempts.length, wrong: wentWrong(request),
    good: attempts.filter((attempt) => attempt.target && attempt.firstTokenMs > 0 && !wentWrong(attempt)).map(({ target, firstTokenMs }) => ({ provider: target.provider, model: target.model, firstTokenMs })),
  };
}

// endedAt is when a request as the admin API tells it ended.
export function endedAt(request) {
  return Number(request.startedUnixMs) + (request.durationMs ?? 0);
}

function takeTransitions(told) {
  const known = new Set(house.transitions.map(transitionKey));
  house.transitions.push(...told.filter((one) => !known.has(transitionKey(one))));
  house.transitions.splice(0, house.transitions.length - transitionsMax);
}

export function transitionKey(one) {
  return [one.atUnixMs, one.provider, one.model, one.credential, one.to].join('|');
}

// takeProviders counts what the sums of usage grew by, when they have been asked for.
function takeProviders(now, counted) {
  let cost = 0;
  const sums = new Map([...Map.groupBy(house.usage, ({ provider }) => provider)].map(([id, entries]) => [id, total(entries)]));
  const good = Map.groupBy(recent(now, moment).flatMap((request) => request.good), ({ provider }) => provider);
  let flight = 0;
  const ids = new Set(house.entries.map((entry) => entry.id));
  house.providers.forEach((_, id) => ids.has(id) || house.providers.delete(id));
  for (const id of ids) {
    const used = sums.get(id) ?? total([]);
    cost += used.cost;
    const target = targetOf(id) ?? {};
    flight += target.inFlight ?? 0;
    if (!house.providers.has(id)) house.providers.set(id, { rate: new Series(), failed: new Series(), success: new Series(), first: new Series() });
    const mine = house.providers.get(id);
    if (counted) {
      const ended = counter(`requests of ${id}`).delta(used.requests, now);
      const failed = counter(`failures of ${id}`).delta(used.failures, now);
      mine.rate.push(ended && ended.perSecond);
      mine.failed.push(failed && failed.perSecond);
      mine.success.push(ended?.grown ? 1 - Math.min(1, (failed?.grown ?? 0) / ended.grown) : null);
    }
    const mineGood = good.get(id) ?? [];
    mine.first.push(quantile(mineGood.map(({ firstTokenMs }) => firstTokenMs), 0.5));
    mine.usual = quantile(mineGood.map(({ model }) => targetOf(id, model)?.usualFirstTokenMs ?? 0), 0.5);
  }
  if (counted) {
    const spent = counter('cost').delta(cost, now);
    house.series.spend.push(spent && spent.perSecond * 3600);
  }
  house.series.flight.push(Math.max(flight, house.nodes.reduce((sum, node) => sum + (node.heartbeat.inFlight ?? 0), 0)));
}

// wentWrong says whether a request or an attempt failed.
export function wentWrong({ fault }) {
  return Boolean(fault) && fault !== 'ok' && fault !== 'canceled';
}

// recent are the requests that ended within so many milliseconds.
export function recent(now = time(), span = window) {
  return house.requests.filter(({ ended }) => ended > now - span);
}

// firsts are the times to the first token, in milliseconds, of requests whose answer was streamed.
export function firsts(requests) {
  return requests.map(({ first }) => first).filter((ms) => ms > 0);
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
  return targets.get(`${provider}|${model ?? ''}`);
}

// settingsOf is the provider as the nodes have it, with everything filled in.
export function settingsOf(id) {
  return house.config.providers?.find((provider) => provider.id === id) ?? {};
}
