/** PyTorch on the processor, in a process of its own that idles while others compute. */
import { saveSafetensors } from '@paella/tensor';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { trace } from './trace.mjs';

const script = fileURLToPath(new URL('pytorch.py', import.meta.url));

/**
 * @returns {Promise<import('./engine.mjs').Peer>}
 * @throws if there is no python3 with torch
 */
export async function open() {
  const { ask, close } = start();
  const { version } = await ask('version');

  /** @type {(...args: [...Parameters<typeof trace>, { inputs: number, weights: number, lr: number }?]) => ReturnType<import('./engine.mjs').Peer['compile']>} */
  const load = async (build, inputs, train) => {
    const { constants, ...graph } = await trace(build, inputs);
    const folder = await mkdtemp(join(tmpdir(), 'paella-bench-'));
    const file = join(folder, 'case.safetensors');
    const named = [...inputs, ...constants].map((values, i) => /** @type {const} */ ([`${i}`, values]));
    await saveSafetensors(file, named, { metadata: { graph: JSON.stringify({ ...graph, train }) } });
    await ask(`load ${file}`).finally(() => rm(folder, { recursive: true }));
    let pending = 0;
    const finish = async () => {
      const count = pending;
      pending = 0;
      if (count > 0) await ask(`run ${count}`);
    };
    return {
      run: () => void pending++,
      finish,
      async read() {
        await finish();
        const bytes = Buffer.from((await ask('read')).numbers, 'base64');
        return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4).slice();
      },
      cpuMs: async () => (await ask('cpu')).ms,
      close: () => undefined, // the next case takes its place
    };
  };
  return {
    name: 'pytorch',
    version,
    device: 'the processor',
    compile: (build, inputs) => load(build, inputs),
    train: (build, inputs, weights, lr) =>
      load(build, [...inputs, ...weights], {
        inputs: inputs.length + weights.length,
        weights: weights.length,
        lr,
      }),
    close,
  };
}

/** The process, and what asks it a question of one line. */
function start() {
  const child = spawn('python3', [script], {
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
  return {
    /** @param {string} command */
    ask: async (command) => {
      child.stdin.write(`${command}\n`);
      const { value, done } = /** @type {IteratorResult<string>} */ (
        await Promise.race([lines.next(), ended])
      );
      const answer = done ? await ended : JSON.parse(value);
      if (answer.error) throw new Error(answer.error);
      return answer;
    },
    close: () => void child.stdin.end(),
  };
}
