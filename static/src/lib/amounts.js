// Amounts in words, as the pages write them: bytes in powers of 1000, CPUs as a share of one.

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

export function size(bytes) {
  let unit = 0;
  let amount = bytes;
  while (amount >= 999.5 && unit < UNITS.length - 1) {
    amount /= 1000;
    unit += 1;
  }
  return `${amount < 10 && unit ? amount.toFixed(1) : Math.round(amount)} ${UNITS[unit]}`;
}

/** 0.253 CPUs are "25.3 %". */
export function share(cpus) {
  const percent = cpus * 100;
  return `${percent < 10 ? percent.toFixed(1) : Math.round(percent)} %`;
}

/** What `name` has grown by in a second between two samples; null without an earlier one, 0 after a restart. */
export function rate(now, before, name) {
  if (!before) return null;
  const seconds = (now.at - before.at) / 1000;
  return seconds > 0 ? Math.max(0, now[name] - before[name]) / seconds : null;
}

/** A span of time as people say it: "40 s", "3 min", "2 h". */
export function seconds(amount) {
  if (amount < 90) return `${Math.max(1, Math.round(amount))} s`;
  return amount < 5400 ? `${Math.round(amount / 60)} min` : `${Math.round(amount / 3600)} h`;
}
