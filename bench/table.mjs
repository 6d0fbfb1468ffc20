/** Results as lines of a terminal. */

/** @typedef {import('./schema.mjs').CaseResult} CaseResult */

const NAME = 52;
const cell = (/** @type {string} */ value) => ` ${value.padStart(9)}`;

/** Four digits at most. @param {number} value */
export const short = (value) =>
  value >= 1000 ? value.toFixed(0) : value >= 100 ? value.toFixed(1) : value.toPrecision(3);

/** @param {string} title @param {readonly string[]} peers their names */
export function headLine(title, peers) {
  const columns = ['ms', 'cpu ms', 'GFLOP/s', 'GB/s', 'ceiling', 'ratio', 'cpu ratio', ...peers];
  return `${title.padEnd(NAME)}${columns.map(cell).join('')}`;
}

/** @param {CaseResult} result @param {readonly string[]} peers their names */
export function rowLines({ name, ours, peers: timed, left, bound, ceilingShare, ratio, cpuRatio }, peers) {
  const share = `${Math.round(100 * ceilingShare)}%${bound === 'compute' ? 'c' : 'm'}`;
  const times = [
    short(ours.ms),
    ours.cpuMs === undefined ? '' : short(ours.cpuMs),
    short(ours.gflops),
    short(ours.gbps),
    share,
    ratio === null ? '' : `${short(ratio)}×`,
    cpuRatio === null ? '' : `${short(cpuRatio)}×`,
    ...peers.map((peer) => (timed[peer] ? short(timed[peer].ms) : '–')),
  ];
  const reasons = Object.entries(left).map(([peer, why]) => `  without ${peer}: ${why}`);
  return [`${name.padEnd(NAME)}${times.map(cell).join('')}`, ...reasons];
}
