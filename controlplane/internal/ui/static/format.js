// Numbers and times as people read them.

import { now } from './rpc.js';

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

export const none = '–';

export function count(n) {
  return n >= 1e5 ? compact.format(n) : whole.format(n ?? 0);
}

export function rate(perSecond) {
  if (perSecond === null) return none;
  if (perSecond >= 100) return count(perSecond);
  return perSecond.toFixed(1);
}

export function percent(share) {
  if (share === null || share === undefined || Number.isNaN(share)) return none;
  if (share > 0.999 && share < 1) return '99.9\u00a0%';
  return `${(100 * share).toFixed(share < 0.995 && share > 0.1 ? 1 : 0)}\u00a0%`;
}

// duration of milliseconds.
export function duration(ms) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return none;
  if (ms < 1000) return `${Math.round(ms)}\u00a0ms`;
  if (ms < 60e3) return `${(ms / 1000).toFixed(ms < 10e3 && ms % 1000 ? 1 : 0)}\u00a0s`;
  if (ms < 3600e3) return `${Math.round(ms / 60e3)}\u00a0min`;
  if (ms < 48 * 3600e3) return `${Math.round(ms / 3600e3)}\u00a0h`;
  return `${Math.round(ms / 86400e3)}\u00a0d`;
}

// ago is how long a moment is past, in whole seconds at least: clocks differ.
export function ago(unixMs) {
  return duration(Math.max(1000, 1000 * Math.round((now() - Number(unixMs)) / 1000)));
}

export function dollars(usd) {
  if (usd === null || usd === undefined) return none;
  if (usd === 0) return '$0';
  if (usd >= 1000) return `$${whole.format(usd)}`;
  if (usd >= 1) return `$${usd.toFixed(2)}`;
  return usd < 1e-6 ? '< $0.000001' : `$${usd.toPrecision(2)}`;
}

export function clock(unixMs) {
  return new Date(unixMs).toLocaleTimeString('en-GB');
}

export function moment(unixMs) {
  return `${new Date(unixMs).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

// score is of no unit; only its order says something.
export function score(value) {
  if (!value) return none;
  return value >= 1e6 || value < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(3)));
}
