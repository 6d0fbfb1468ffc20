/** The suites in a page: whoever has a GPU can measure it here. */
import { Device } from '@paella/tensor';
import { htmlReport } from '../report.mjs';
import { firstLine } from '../run.mjs';
import { runSession } from '../session.mjs';
import { suiteNames } from '../suites.mjs';
import copy from '../wgsl/copy.wgsl';
import fma from '../wgsl/fma.wgsl';

/**
 * @typedef {object} PageOptions
 * @property {readonly string[]} suites
 * @property {readonly string[]} peers
 * @property {string} [filter]
 * @property {number} rounds
 * @property {Record<string, string>} versions
 */

/** Peers that run in pages. */
const PEERS = ['tfjs', 'jax-js'];

/** @template {Element} E @param {string} id @param {new () => E} type @returns {E} */
function element(id, type) {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page has no ${id}`);
  return found;
}

const form = element('form', HTMLFormElement);
const status = element('status', HTMLElement);
const table = element('table', HTMLElement);
const suite = element('suite', HTMLSelectElement);
for (const name of ['all', ...suiteNames]) suite.append(new Option(name));

/** @param {string} line */
function say(line) {
  table.textContent += `${line}\n`;
  const listener = Reflect.get(globalThis, 'paellaBenchSay');
  if (typeof listener === 'function') listener(line);
}

/** What a browser that is driven from outside calls, too. @param {PageOptions} options */
async function run({ peers, ...options }) {
  table.textContent = '';
  const device = await Device.create();
  try {
    const outcome = await runSession(device, {
      ...options,
      peers: peers.filter((name) => PEERS.includes(name)),
      platform: browserName(),
      wgsl: { fma, copy },
      say,
    });
    for (const name of peers) if (!PEERS.includes(name)) outcome.results.missing[name] = 'not in pages';
    return outcome;
  } finally {
    device.destroy();
  }
}
Reflect.set(globalThis, 'paellaBench', run);

/** Its name and version, out of all that it claims to be. */
function browserName() {
  const [, name, version] = /(Firefox|Edg|Chrome|Version)\/([\d.]+)/.exec(navigator.userAgent) ?? [];
  return name ? `${name === 'Version' ? 'Safari' : name} ${version}` : navigator.userAgent;
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  void measure();
});

async function measure() {
  const wanted = suite.value;
  status.textContent = 'Measuring; leave this tab in front …';
  try {
    const { results } = await run({
      suites: wanted === 'all' ? suiteNames : [wanted],
      peers: PEERS,
      filter: element('filter', HTMLInputElement).value,
      rounds: element('rounds', HTMLInputElement).valueAsNumber,
      versions: {},
    });
    status.textContent = 'Done.';
    offer('json', 'paella-bench.json', 'application/json', JSON.stringify(results, null, 1));
    offer('report', 'paella-bench.html', 'text/html', htmlReport(results));
  } catch (error) {
    status.textContent = firstLine(error);
  }
}

/** @param {string} id of the link @param {string} name @param {string} type @param {string} content */
function offer(id, name, type, content) {
  const link = element(id, HTMLAnchorElement);
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.hidden = false;
}
