/** Results as lines of a terminal. */

/** @typedef {import('./schema.mjs').CaseResult} CaseResult */
/** @typedef {import('./schema.mjs').Fact} Fact */

const NAME = 52;
const cell = (/** @type {string} */ value) => ` ${value.padStart(9)}`;

/** Three digits, and no exponent. @param {number} value */
export function short(value) {
  if (value >= 100 || value === 0) return value.toFixed(0);
  return value >= 0.001 ? String(Number(value.toPrecision(3))) : value.toExponential(1);
}

/** @param {number} share */
export const percent = (share) => `${Math.round(100 * share)} %`;

/** @param {string} title @param {readonly string[]} peers their names */
export function headLine(title, peers) {
  const columns = ['ms', 'cpu ms', 'GFLOP/s', 'GB/s', 'ceiling', 'ratio', 'cpu ratio', ...peers];
  return `${title.padEnd(NAME)}${columns.map(cell).join('')}`;
}

/** @param {CaseResult} result @param {readonly string[]} peers their names */
export function rowLine({ name, ours, peers: timed, bound, ceilingShare, ratio, cpuRatio }, peers) {
  const times = [
    short(ours.ms),
    ours.cpuMs === undefined ? '' : short(ours.cpuMs),
    short(ours.gflops),
    short(ours.gbps),
    `${percent(ceilingShare)} ${bound === 'compute' ? 'c' : 'm'}`,
    ratio === null ? '' : `${short(ratio)}×`,
    cpuRatio === null ? '' : `${short(cpuRatio)}×`,
    ...peers.map((peer) => (timed[peer] ? short(timed[peer].ms) : '–')),
  ];
  return `${name.padEnd(NAME)}${times.map(cell).join('')}`;
}

/** @param {readonly Fact[]} facts */
export const factLines = (facts) =>
  facts.flatMap(({ name, ours }) => [
    `\n${name}`,
    ...Object.entries(ours).map(([key, value]) => `  ${key.padEnd(NAME - 2)}${cell(short(value))}`),
  ]);
