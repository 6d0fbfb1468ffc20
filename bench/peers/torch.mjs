/** PyTorch on the processor, in a process of its own that idles while others compute. */
import { saveSafetensors } from '@paella/tensor';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('torch_train.py', import.meta.url));

/**
 * @param {import('./contender.mjs').Case} given
 * @param {number} threads
 * @returns {Promise<import('./contender.mjs').Contender>}
 * @throws if there is no python3 with torch
 */
export async function torchContender({ options, weights, inputs }, threads) {
  const folder = await mkdtemp(join(tmpdir(), 'paella-bench-'));
  const file = join(folder, 'case.safetensors');
  const named = (/** @type {string} */ group, /** @type {typeof weights} */ values) =>
    Object.entries(values).map(([name, value]) => /** @type {const} */ ([`${group}.${name}`, value]));
  await saveSafetensors(file, [...named('weights', weights), ...named('inputs', inputs)], {
    metadata: { options: JSON.stringify(options) },
  });
  const child = spawn('python3', [script, file, `${threads}`], {
    stdio: ['pipe', 'pipe', 'pipe'],
    // Threads that spin while they wait slow it down tenfold where another program wants a core.
    env: { OMP_WAIT_POLICY: 'passive', ...process.env },
  });
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (/** @type {string} */ text) => (complaint += text));
  const ended = new Promise((_, reject) => {
    child.on('error', reject);
    child.on('close', () => reject(new Error(complaint.trim().split('\n').at(-1) || 'python3 ended')));
  });
  ended.catch(() => undefined); // heard by the question that is waiting, if one is
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  child.stdin.on('error', () => undefined); // a child that ended is told of by `ended`
  const ask = async (/** @type {string} */ command) => {
    child.stdin.write(`${command}\n`);
    const { value, done } = /** @type {IteratorResult<string>} */ (await Promise.race([lines.next(), ended]));
    return done ? await ended : JSON.parse(value);
  };
  const { version } = await ask('load').finally(() => rm(folder, { recursive: true }));
  let memory = { process: 0, processIdle: 0 };
  return {
    name: `PyTorch ${version}, threads: ${threads}`,
    device: 'the processor',
    async steps(count) {
      const { peakMiB, idleMiB, ...taken } = await ask(`steps ${count}`);
      memory = { process: peakMiB, processIdle: idleMiB };
      return taken;
    },
    memory: () => memory,
    close: () => void child.stdin.end(),
  };
}
