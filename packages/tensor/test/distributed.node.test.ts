import { execFile } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findLauncher } from '../../../test/mpirun.js';
import { GradientSum, alone } from '../src/distributed/index.js';
import { launcherOf } from '../src/distributed/launcher.js';
import { Watch } from '../src/distributed/watch.js';
import { AdamW } from '../src/optim/adamw.js';
import { localGroups } from '../../../test/local-group.js';
import { testDevice } from './helpers.js';
import { Ranks } from './ranks-run.js';

let ranks: Ranks;
let elsewhere: string;
beforeAll(async () => {
  ranks = await Ranks.build();
  elsewhere = mkdtempSync(join(tmpdir(), 'paella-ranks-'));
});
afterAll(async () => {
  rmSync(elsewhere, { recursive: true, force: true });
  await ranks.close();
});

/** What launchers put into the environment of rank 1, and what else is in it. */
const environments = {
  'Open MPI’s mpirun': { OMPI_COMM_WORLD_SIZE: '4', OMPI_COMM_WORLD_RANK: '1', PMIX_RANK: '1' },
  'Open MPI’s mpirun within a Slurm job': {
    OMPI_COMM_WORLD_SIZE: '8',
    PMIX_RANK: '1',
    SLURM_STEP_NUM_TASKS: '2', // its daemons
    SLURM_NTASKS: '8',
  },
  'MPICH’s mpirun': { PMI_RANK: '1', PMI_SIZE: '4', PMI_FD: '7' },
  'MPICH’s mpirun within a Slurm job': { PMI_RANK: '1', PMI_SIZE: '8', SLURM_STEP_NUM_TASKS: '2' },
  'srun --mpi=pmix': { PMIX_RANK: '1', SLURM_STEP_NUM_TASKS: '4', SLURM_PROCID: '1' },
  'srun --mpi=pmi2': { PMI_RANK: '1', PMI_SIZE: '4', SLURM_STEP_NUM_TASKS: '4', SLURM_PROCID: '1' },
  'srun alone': { SLURM_STEP_NUM_TASKS: '4', SLURM_PROCID: '1' },
  'another PMIx': { PMIX_RANK: '1' },
  'a Slurm batch script': { SLURM_JOB_ID: '7', SLURM_NTASKS: '4', SLURM_PROCID: '0' },
  'mpirun -n 1 of Open MPI': { OMPI_COMM_WORLD_SIZE: '1', PMIX_RANK: '0' },
  'mpirun -n 1 of MPICH': { PMI_RANK: '0', PMI_SIZE: '1' },
  'srun of one': { SLURM_STEP_NUM_TASKS: '1', PMIX_RANK: '0' },
  'a shell': { PATH: '/bin' },
};

describe('launcherOf', () => {
  it('knows launchers by their variables, and whose MPI they speak with', () => {
    const found = Object.entries(environments).map(([who, environment]) => {
      const launcher = launcherOf(environment);
      return [who, launcher && `${launcher.size} by ${launcher.name}, ${launcher.speaks.join(' or ')}`];
    });
    expect(Object.fromEntries(found)).toEqual({
      'Open MPI’s mpirun': '4 by mpirun of Open MPI, Open MPI',
      'Open MPI’s mpirun within a Slurm job': '8 by mpirun of Open MPI, Open MPI',
      'MPICH’s mpirun': '4 by PMI, MPICH or Open MPI',
      'MPICH’s mpirun within a Slurm job': '8 by PMI, MPICH or Open MPI',
      'srun --mpi=pmix': '4 by PMIx, Open MPI or MPICH',
      'srun --mpi=pmi2': '4 by PMI, MPICH or Open MPI',
      'srun alone': '4 by srun, Open MPI or MPICH',
      'another PMIx': 'null by PMIx, Open MPI or MPICH',
      'a Slurm batch script': null,
      'mpirun -n 1 of Open MPI': null,
      'mpirun -n 1 of MPICH': null,
      'srun of one': null,
      'a shell': null,
    });
  });
});

/** Runs a case of the program by itself, in an environment without a launcher but for `environment`. */
async function byItself(name: string, environment: Record<string, string> = {}, program = ranks.program) {
  const inherited = Object.entries(process.env).filter(
    ([key]) => !/^(OMPI|PMIX?|SLURM|PAELLA_MPI)/.test(key),
  );
  const env = { ...Object.fromEntries(inherited), ...environment };
  const run = promisify(execFile)(process.execPath, [program, name, elsewhere], { env });
  return run.catch((error: { stderr: string }) => error);
}

describe('a process by itself', () => {
  it('is alone, and loads nothing (/proc says so: Linux)', async () => {
    const { stderr } = await byItself('byItself');
    expect(stderr).toBe('');
    const report: unknown = JSON.parse(readFileSync(join(elsewhere, '0.json'), 'utf8'));
    expect(report).toEqual({ rank: 0, size: 1, localRank: 0, libraries: [] });
  });

  it('says everything to itself', async () => {
    const values = Float32Array.of(1, 2);
    expect(await alone.allReduce(values)).toBe(values);
    expect(await alone.broadcast(Promise.resolve(values))).toBe(values);
    expect(await alone.allGather('me')).toEqual(['me']);
    await alone.barrier();
    await alone.finalize();
  });
});

describe('what is missing is named, and the package that has it', () => {
  it.each([
    [
      'Open MPI’s mpirun',
      /mpirun of Open MPI started .*\/nonexistent\/libmpi.*Install libopenmpi3 \(Debian\) or openmpi \(conda\)/s,
    ],
    [
      'MPICH’s mpirun',
      /PMI started .*\/nonexistent\/libmpi.*Install libmpich12 \(Debian\) or mpich \(conda\)/s,
    ],
  ] as const)('the library, under %s', async (launcher, says) => {
    const { stderr } = await byItself('byItself', {
      ...environments[launcher],
      PAELLA_MPI: '/nonexistent/libmpi.so',
    });
    expect(stderr).toMatch(says);
  });

  it('the library, where there is another one', async () => {
    const environment = { ...environments['Open MPI’s mpirun'], PAELLA_MPI: 'libm.so.6' };
    expect((await byItself('byItself', environment)).stderr).toMatch(/no MPI library loads: .*libm\.so\.6/);
  });

  it('koffi', async () => {
    const program = join(elsewhere, 'ranks.mjs'); // far from any node_modules
    copyFileSync(ranks.program, program);
    const { stderr } = await byItself('byItself', environments['Open MPI’s mpirun'], program);
    expect(stderr).toMatch(/one of 4 processes, and the package koffi, .* is missing.*npm install koffi@/s);
  });

  const both = [findLauncher('Open MPI')!, findLauncher('MPICH')!];
  it.skipIf(!both.every(Boolean)).each([
    [0, 'libmpich.so.12', 'libopenmpi3'],
    [1, 'libmpi.so.40', 'libmpich12'],
  ])(
    'the launcher’s library, where another one is chosen (skipped where not both MPIs are)',
    async (at, library, name) => {
      const job = await ranks.start(both[at], 2, 'byItself', { PAELLA_MPI: library });
      const { code, stderr } = await job.ended;
      expect(code).not.toBe(0);
      expect(stderr).toMatch(new RegExp(`started 2 processes, but ${library} sees 1: .* Install ${name} `));
    },
  );
});

describe('Watch', () => {
  it('does not take a stranger for rank 0', async () => {
    const stranger = createServer((socket) => socket.write('220 mail.example\r\n'));
    await new Promise<void>((resolve) => void stranger.listen(0, '127.0.0.1', resolve));
    const { port } = stranger.address() as AddressInfo;
    const meeting = { addresses: ['127.0.0.1'], port, secret: 'x', host: 'node7' };
    const joining = Watch.join(meeting, 1, () => {});
    await expect(joining).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringMatching(/rank 1 .* cannot reach rank 0 on node7 .*127\.0\.0\.1/s),
    });
    stranger.close();
  });

  it('lets no stranger in', async () => {
    const lost: string[] = [];
    const { watch, meeting } = await Watch.open((reason) => lost.push(reason));
    const joining = Watch.join({ ...meeting, secret: 'guessed' }, 1, () => {});
    await expect(joining).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringMatching(/cannot reach/),
    });
    watch.close();
    expect(lost).toEqual([]);
  });
});

it('gradients that lie otherwise in another process are refused before they are mixed', async () => {
  const device = await testDevice();
  let exchanges = 0;
  const ends = localGroups(2).map(async (group) => {
    const param = device.tensor(new Float32Array(1 + 1000 * group.rank), undefined, { requiresGrad: true });
    const sum = new GradientSum(new AdamW([param], { lr: 0.01 }), {
      ...group,
      allReduce(values, op) {
        exchanges++;
        return group.allReduce(values, op);
      },
    });
    sum.during(() => param.mul(param).sum().backward());
    await sum.finish();
  });
  for (const end of ends) {
    await expect(end).rejects.toMatchObject({
      code: 'argument',
      message: expect.stringMatching(/rank 1 lie otherwise/),
    });
  }
  expect(exchanges).toBe(0);
});
