/** Builds and runs the program of `ranks.ts`. */
import { build } from 'esbuild';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Job, type Launcher, launch } from '../../../test/mpirun.js';

/** The program, in a folder of its own inside of the repository, so that it finds its `node_modules`. */
export class Ranks {
  readonly folder: string;
  readonly #jobs: Job[] = [];

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async build(): Promise<Ranks> {
    const output = fileURLToPath(new URL('../../../test-output/', import.meta.url));
    await mkdir(output, { recursive: true });
    const ranks = new Ranks(await mkdtemp(join(output, 'ranks-')));
    await build({
      entryPoints: [fileURLToPath(new URL('ranks.ts', import.meta.url))],
      outfile: ranks.program,
      bundle: true,
      external: ['webgpu', 'koffi'],
      conditions: ['@paella/source', 'node'],
      loader: { '.wgsl': 'text' },
      format: 'esm',
      platform: 'node',
      target: 'es2022', // Node 20 has no `using`
    });
    return ranks;
  }

  get program(): string {
    return join(this.folder, 'ranks.mjs');
  }

  /** Starts a case in processes of a launcher. */
  async start(launcher: Launcher, size: number, name: string, env?: Record<string, string>) {
    const folder = await mkdtemp(join(this.folder, 'run-'));
    const job = launch(launcher, size, [process.execPath, this.program, name, folder], { env });
    this.#jobs.push(job);
    const ranks = Array.from({ length: size }, (_, rank) => join(folder, `${rank}.json`));
    return {
      ...job,
      /** What the processes said, by rank, once all have. */
      async reports<T>(): Promise<T[]> {
        while (!ranks.every((path) => existsSync(path))) await sleep(20);
        return ranks.map((path) => JSON.parse(readFileSync(path, 'utf8')) as T);
      },
    };
  }

  /**
   * Runs a case to its end.
   *
   * @returns what the processes said, by rank
   * @throws Error with what is on stderr if it fails
   */
  async run<T>(launcher: Launcher, size: number, name: string): Promise<T[]> {
    const job = await this.start(launcher, size, name);
    const { code, stderr } = await job.ended;
    if (code !== 0) throw new Error(`${name}: exit code ${code}\n${stderr}`);
    return job.reports<T>();
  }

  async close(): Promise<void> {
    for (const job of this.#jobs) job.kill();
    await rm(this.folder, { recursive: true, force: true });
  }
}
