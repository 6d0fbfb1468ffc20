/**
 * `node bench/scaling.mjs --help`: how long a step takes on more devices than one has, by the model of docs/scaling.md.
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/**
 * @typedef {object} Assumptions
 * @property {number} compute seconds of a step of one process alone
 * @property {number} backward share of `compute` during which gradients become ready
 * @property {number} gradient gigabytes of gradients
 * @property {number} copy gigabytes a second between device and host, each way
 * @property {number} link gigabytes a second of the slowest link between two neighbouring processes, each way
 * @property {number} latency seconds for a message to arrive
 */

/**
 * Seconds of a step of `n` processes, and what they are made of.
 *
 * Buckets go through three stages, read, reduce and write, one after the other. All but the last can hide behind the
 * backward pass, which brings them. Reduction is a ring: each process sends and receives its neighbours' 2·(n − 1)/n of the
 * gradients, in 2·(n − 1) messages a bucket.
 *
 * @param {Assumptions} a @param {number} n
 */
export function predict({ compute, backward, gradient, copy, link, latency }, n) {
  if (n === 1) return { step: compute, reduce: 0, exposed: 0, efficiency: 1 };
  const bucket = Math.min(2 ** 24, Math.max(2 ** 20, (gradient * 1e9) / 16)); // as GradientSum has it
  const buckets = Math.ceil((gradient * 1e9) / bucket);
  const reduce = (2 * (n - 1) * gradient) / n / link + 2 * (n - 1) * buckets * latency;
  const exchange = (2 * gradient) / copy + reduce;
  const exposed = Math.max(exchange / buckets, exchange - compute * backward * (1 - 1 / buckets));
  const step = compute + exposed;
  return { step, reduce, exposed, efficiency: compute / step };
}

const options = /** @type {const} */ ({
  compute: { type: 'string', default: '1.4' },
  backward: { type: 'string', default: '0.6' },
  gradient: { type: 'string', default: '4.03' },
  copy: { type: 'string', default: '12' },
  link: { type: 'string', default: '12.5' },
  latency: { type: 'string', default: '5e-6' },
  help: { type: 'boolean', default: false },
});

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { help, ...values } = parseArgs({ options }).values;
  if (help) {
    console.log(`Seconds: --compute, --latency. Gigabytes: --gradient; a second: --copy, --link. --backward: share.
Defaults: ${Object.entries(options)
      .flatMap(([name, one]) => ('default' in one ? [`--${name} ${one.default}`] : []))
      .join(' ')}`);
  } else {
    const numbers = Object.fromEntries(Object.entries(values).map(([name, text]) => [name, Number(text)]));
    const rows = [1, 2, 8, 128].map((n) => {
      const { step, reduce, exposed, efficiency } = predict(/** @type {Assumptions} */ (numbers), n);
      const cells = [step, reduce, exposed].map((value) => value.toFixed(3));
      return `| ${[n, ...cells, `${Math.round(100 * efficiency)} %`].join(' | ')} |`;
    });
    console.log(
      [
        '| devices | step (s) | all-reduce | exposed | efficiency |',
        '| --: | --: | --: | --: | --: |',
        ...rows,
      ].join('\n'),
    );
  }
}
