/// <reference types="node" />
/** The few functions of MPI that are needed, out of the library that a cluster has, by way of koffi. */
import type { LibraryHandle } from 'koffi';
import { PaellaError } from '../errors.js';
import { type Libc, installKoffi, openKoffi, openLibc } from '../platform/libc.node.js';
import type { Environment, Implementation, Launcher } from './launcher.js';

type Koffi = (typeof import('koffi'))['default'];
type NativeFunction = ReturnType<LibraryHandle['func']>;

/** Where the dynamic linker finds MPI, by implementation; what they install for compilers is left out. */
const libraries: Record<Implementation, readonly string[]> =
  process.platform === 'darwin'
    ? { 'Open MPI': ['libmpi.40.dylib'], MPICH: ['libmpi.12.dylib'] }
    : { 'Open MPI': ['libmpi.so.40'], MPICH: ['libmpich.so.12', 'libmpi.so.12', 'libmpi_cray.so.12'] };

/** What brings them. */
const packages: Record<Implementation, string> = {
  'Open MPI': 'libopenmpi3 (Debian) or openmpi (conda)',
  MPICH: 'libmpich12 (Debian) or mpich (conda)',
};

/**
 * What C programs find in `mpi.h`. Open MPI's handles are pointers to variables that it exports; those of MPICH, and of
 * all that keep its ABI (Intel MPI, Cray MPICH, MVAPICH), are numbers.
 */
interface Abi {
  handle: 'void *' | 'int';
  world: unknown;
  types: { float: unknown; unsigned: unknown; byte: unknown };
  ops: { sum: unknown; max: unknown };
  errorsReturn: unknown;
  inPlace: number;
  ignoreStatus: number;
}

const mpich: Abi = {
  handle: 'int',
  world: 0x44000000,
  types: { float: 0x4c00040a, unsigned: 0x4c000406, byte: 0x4c00010d },
  ops: { sum: 0x58000003, max: 0x58000001 },
  errorsReturn: 0x54000001,
  inPlace: -1,
  ignoreStatus: 1,
};

const openMpi = (symbol: (name: string) => unknown): Abi => ({
  handle: 'void *',
  world: symbol('ompi_mpi_comm_world'),
  types: {
    float: symbol('ompi_mpi_float'),
    unsigned: symbol('ompi_mpi_unsigned'),
    byte: symbol('ompi_mpi_byte'),
  },
  ops: { sum: symbol('ompi_mpi_op_sum'), max: symbol('ompi_mpi_op_max') },
  errorsReturn: symbol('ompi_mpi_errors_return'),
  inPlace: 1,
  ignoreStatus: 0,
});

/**
 * Bytes of a call: MPI counts to 2^31, and calls of several gigabytes take as much memory again inside of it. Smaller ones
 * are faster between the processes of a host, larger ones between many hosts.
 */
const PIECE = 2 ** 24;
const MPI_THREAD_SERIALIZED = 2;

/** A started MPI. One call at a time; those that wait do so on a thread of their own. */
export interface Mpi {
  readonly rank: number;
  readonly size: number;
  /** Says that this process has come to the next call. */
  arrive(): void;
  /** Whether all have, since {@link arrive}. */
  haveAllArrived(): boolean;
  /** Reduces values in place. */
  allReduce(values: Float32Array | Uint32Array, op: 'sum' | 'max'): Promise<void>;
  broadcast(bytes: Uint8Array, root: number): Promise<void>;
  /** Fills `all` with everybody's `own`, which are of one length. */
  allGather(own: Uint8Array, all: Uint8Array): Promise<void>;
  /** Gives each process its slice of everybody's `own`, which are of one length; there are as many slices. */
  allToAll(own: Uint8Array, all: Uint8Array): Promise<void>;
  finalize(): Promise<void>;
  /** Ends the process at once, even while a call of MPI never returns. */
  exit(code: number): never;
}

/**
 * Loads the MPI that the launcher speaks with, and starts it; that waits for all processes.
 *
 * @param environment PAELLA_MPI names another library, by its path
 * @throws PaellaError `unsupported` if koffi or the library is missing, or the library is not the launcher's
 */
export async function startMpi(launcher: Launcher, environment: Environment): Promise<Mpi> {
  const koffi = await loadKoffi(launcher);
  const { library, abi, path } = openLibrary(koffi, await openLibc(), launcher, environment.PAELLA_MPI);
  const h = abi.handle;
  // Node's own exit waits for threads that are inside of calls.
  const leave = koffi.load(null).func('void _exit(int code)');
  const call = bind(library, {
    init: `int MPI_Init_thread(intptr_t argc, intptr_t argv, int required, void *provided)`,
    setErrorHandler: `int MPI_Comm_set_errhandler(${h} comm, ${h} handler)`,
    rank: `int MPI_Comm_rank(${h} comm, void *rank)`,
    size: `int MPI_Comm_size(${h} comm, void *size)`,
    startBarrier: `int MPI_Ibarrier(${h} comm, void *request)`,
    test: `int MPI_Test(void *request, void *flag, intptr_t status)`,
    allReduce: `int MPI_Allreduce(intptr_t in_place, void *data, int count, ${h} type, ${h} op, ${h} comm)`,
    broadcast: `int MPI_Bcast(void *data, int count, ${h} type, int root, ${h} comm)`,
    allToAll: `int MPI_Alltoall(void *own, int each, ${h} type, void *all, int count, ${h} all_type, ${h} comm)`,
    allGather: `int MPI_Allgather(void *own, int count, ${h} type, void *all, int each, ${h} all_type, ${h} comm)`,
    finalize: `int MPI_Finalize()`,
    errorText: `int MPI_Error_string(int code, void *text, void *length)`,
  });

  const check = (name: string, code: number): void => {
    if (code === 0) return;
    const text = new Uint8Array(1024);
    const length = new Int32Array(1);
    call.errorText(code, text, length);
    throw new PaellaError(
      'peer-lost',
      `MPI's ${name} failed: ${new TextDecoder().decode(text.subarray(0, length[0]))}`,
    );
  };
  /** On a thread of its own. */
  const wait = async (name: keyof typeof call, ...args: unknown[]): Promise<void> => {
    const code = await new Promise<number>((resolve, reject) => {
      call[name].async(...args, (error: Error | null, result: number) =>
        error ? reject(error) : resolve(result),
      );
    });
    check(name, code);
  };
  const numberOf = (name: 'rank' | 'size'): number => {
    const out = new Int32Array(1);
    check(name, call[name](abi.world, out) as number);
    return out[0];
  };

  const provided = new Int32Array(1);
  await wait('init', 0, 0, MPI_THREAD_SERIALIZED, provided);
  check('setErrorHandler', call.setErrorHandler(abi.world, abi.errorsReturn) as number);
  const size = numberOf('size');
  if (launcher.size !== null && size !== launcher.size) {
    throw new PaellaError(
      'unsupported',
      `${launcher.name} started ${launcher.size} processes, but ${path} sees ${size}: they don't belong together`,
      { fix: `${install(launcher)}, of the same installation as the launcher.` },
    );
  }
  if (provided[0] < MPI_THREAD_SERIALIZED) {
    throw new PaellaError('unsupported', `${path} cannot be called from several threads`, {
      fix: 'Use an MPI that is built with MPI_THREAD_SERIALIZED or more.',
    });
  }

  const request = new Uint8Array(8);
  const flag = new Int32Array(1);
  return {
    rank: numberOf('rank'),
    size,
    arrive: () => check('startBarrier', call.startBarrier(abi.world, request) as number),
    haveAllArrived() {
      check('test', call.test(request, flag, abi.ignoreStatus) as number);
      return flag[0] !== 0;
    },
    async allReduce(values, op) {
      const type = values instanceof Float32Array ? abi.types.float : abi.types.unsigned;
      for (const piece of pieces(values)) {
        await wait('allReduce', abi.inPlace, piece, piece.length, type, abi.ops[op], abi.world);
      }
    },
    async broadcast(bytes, root) {
      for (const piece of pieces(bytes)) {
        await wait('broadcast', piece, piece.length, abi.types.byte, root, abi.world);
      }
    },
    allToAll(own, all) {
      const each = own.length / size;
      return wait('allToAll', own, each, abi.types.byte, all, each, abi.types.byte, abi.world);
    },
    allGather: (own, all) =>
      wait('allGather', own, own.length, abi.types.byte, all, own.length, abi.types.byte, abi.world),
    finalize: () => wait('finalize'),
    exit(code) {
      leave(code);
      throw new Error('_exit returned');
    },
  };
}

function* pieces<T extends Float32Array | Uint32Array | Uint8Array>(all: T): Generator<T> {
  const length = PIECE / all.BYTES_PER_ELEMENT;
  for (let at = 0; at < all.length; at += length) yield all.subarray(at, at + length) as T;
}

async function loadKoffi({ name, size }: Launcher): Promise<Koffi> {
  try {
    return await openKoffi();
  } catch (cause) {
    throw new PaellaError(
      'unsupported',
      `${name} started this as one of ${size ?? 'several'} processes, and the package koffi, which calls MPI, is missing`,
      { fix: `Run \`${installKoffi}\`.`, cause },
    );
  }
}

/**
 * Loads a library for good, and so that its plug-ins find its symbols: koffi alone would unload it at the end, before the
 * threads that it left things in are gone.
 */
function openLibrary(
  koffi: Koffi,
  libc: Libc | undefined,
  { name, speaks }: Launcher,
  chosen: string | undefined,
): { library: LibraryHandle; abi: Abi; path: string } {
  const failures: string[] = [];
  for (const path of chosen ? [chosen] : speaks.flatMap((one) => libraries[one])) {
    try {
      libc?.tryLoad(path);
      const library = koffi.load(path);
      return { library, abi: abiOf(library), path };
    } catch (error) {
      failures.push(`${path}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new PaellaError(
    'unsupported',
    `${name} started this process, but no MPI library loads: ${failures.join('; ')}`,
    { fix: `${install({ speaks })}.` },
  );
}

const install = ({ speaks: [likely] }: Pick<Launcher, 'speaks'>): string =>
  `Install ${packages[likely]}, or set PAELLA_MPI to the path of the library`;

/** Tells the two ABIs apart by what the library exports and calls itself. */
function abiOf(library: LibraryHandle): Abi {
  try {
    return openMpi((name) => library.symbol(name));
  } catch {
    // not Open MPI
  }
  const text = new Uint8Array(8192); // MPI_MAX_LIBRARY_VERSION_STRING of MPICH
  library.func('int MPI_Get_library_version(void *text, void *length)')(text, new Int32Array(1));
  const version = new TextDecoder().decode(text);
  if (/MPICH|MVAPICH|Intel\(R\) MPI/i.test(version)) return mpich;
  throw new Error("neither Open MPI nor of MPICH's ABI");
}

function bind<T extends Record<string, string>>(
  library: LibraryHandle,
  prototypes: T,
): Record<keyof T, NativeFunction> {
  const entries = Object.entries(prototypes).map(
    ([name, prototype]) => [name, library.func(prototype)] as const,
  );
  return Object.fromEntries(entries) as Record<keyof T, NativeFunction>;
}
