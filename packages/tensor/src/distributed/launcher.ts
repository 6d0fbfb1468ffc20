/** Who started this process, as one of how many. */

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Launcher {
  name: string;
  /** How many processes it started, null where it doesn't say. */
  size: number | null;
  /** Whose MPI it speaks to, the likelier one first. */
  speaks: readonly Implementation[];
}

export type Implementation = 'Open MPI' | 'MPICH';

/** Variables that launchers give every process that they start, and that nobody has otherwise. */
const launchers: readonly { name: string; mark: string; sizes: string[]; speaks: Implementation[] }[] = [
  {
    name: 'mpirun of Open MPI',
    mark: 'OMPI_COMM_WORLD_SIZE',
    sizes: ['OMPI_COMM_WORLD_SIZE'],
    speaks: ['Open MPI'],
  },
  // `srun --mpi=pmix` speaks with Open MPI and with newer MPICHs, `--mpi=pmi2` with MPICH and older Open MPIs.
  { name: 'PMIx', mark: 'PMIX_RANK', sizes: ['SLURM_STEP_NUM_TASKS'], speaks: ['Open MPI', 'MPICH'] },
  {
    name: 'PMI',
    mark: 'PMI_RANK',
    sizes: ['PMI_SIZE', 'SLURM_STEP_NUM_TASKS'],
    speaks: ['MPICH', 'Open MPI'],
  },
  // A plain srun: the variable is absent from the batch script, which runs once.
  {
    name: 'srun',
    mark: 'SLURM_STEP_NUM_TASKS',
    sizes: ['SLURM_STEP_NUM_TASKS'],
    speaks: ['Open MPI', 'MPICH'],
  },
];

/** What the environment tells of a launcher; null for a process that was started by itself, or as the only one. */
export function launcherOf(environment: Environment): Launcher | null {
  const found = launchers.find(({ mark }) => environment[mark] !== undefined);
  if (!found) return null;
  const { name, sizes, speaks } = found;
  const size = Number(sizes.map((variable) => environment[variable]).find((value) => value !== undefined));
  if (size === 1) return null;
  return { name, size: Number.isInteger(size) ? size : null, speaks };
}
