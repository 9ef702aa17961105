// Bounded series of numbers over time, for sparklines.

const points = 180; // three to six minutes

// minute is how many values of a provider's series make a minute: sums of usage are asked for every other second.
export const minute = 30;

export class Series {
  constructor() {
    this.values = [];
  }

  // push adds a value; null is a gap.
  push(value) {
    this.values.push(value);
    if (this.values.length > points) this.values.shift();
  }

  get last() {
    return this.values.at(-1) ?? null;
  }

  // sum of the latest n values that are there; 0 of none.
  sum(n) {
    return this.values.slice(-n).reduce((a, b) => a + (b ?? 0), 0);
  }

  // mean of the latest n values that are there.
  mean(n) {
    const some = this.values.slice(-n).filter((value) => value !== null);
    return some.length ? some.reduce((a, b) => a + b, 0) / some.length : null;
  }
}

// share is how much of all, over the latest n values, did not fail; null of nothing.
export function share(all, failed, n) {
  const whole = all.mean(n);
  return whole ? Math.max(0, 1 - (failed.mean(n) ?? 0) / whole) : null;
}

// Counter turns a number that only grows into what it grew by each second. A number that fell began anew.
export class Counter {
  // delta since the last time; null at the first.
  delta(total, now) {
    const { total: before, now: then } = this;
    this.total = total;
    this.now = now;
    if (before === undefined || total < before || now <= then) return null;
    return { grown: total - before, perSecond: ((total - before) * 1000) / (now - then) };
  }

  forget() {
    this.total = undefined;
  }
}

// quantile of numbers, nearest rank; null if there are none.
export function quantile(numbers, q) {
  if (!numbers.length) return null;
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}
