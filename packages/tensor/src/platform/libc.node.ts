/**
 * What Vulkan needs of the C library and Node does not offer: a library that stays loaded, and calls during which
 * native code sees other environment variables (from worker threads too) and cannot write to stderr.
 */
import { readFileSync } from 'node:fs';

export interface Libc {
  /** Loads a library for the whole process, for good: others find it by its own name. False where that fails. */
  tryLoad(path: string): boolean;
  /**
   * Calls `fn` with `variables` in the environment that native code sees, and returns what was written to stderr
   * meanwhile instead of showing it. One thread at a time: both belong to the whole process.
   */
  runAside<T>(variables: Record<string, string>, fn: () => T): { value: T; stderr: string };
}

/** What to type to get the package that this needs. */
export const installKoffi = 'npm install koffi@3.3.4';

const RTLD_NOW = 2;
const RTLD_GLOBAL = 0x100;

/**
 * Bytes of stack for calls on threads of their own: koffi's 128 KiB are less than MPI libraries fill. It has to be said
 * before the first library is loaded.
 */
const ASYNC_STACK = 2 ** 23;

type Koffi = (typeof import('koffi'))['default'];
let koffi: Promise<Koffi> | undefined;

/** The optional package `koffi`. Rejects where it is missing. */
export function openKoffi(): Promise<Koffi> {
  koffi ??= import('koffi').then((module) => {
    try {
      module.default.config({ async_stack_size: ASYNC_STACK });
    } catch {
      // The program has used koffi before, and decided for itself.
    }
    return module.default;
  });
  return koffi;
}

let opened: Promise<Libc | undefined> | undefined;

/** The C library through the optional package `koffi`; undefined off Linux or where the package is missing. */
export function openLibc(): Promise<Libc | undefined> {
  if (process.platform !== 'linux') return Promise.resolve(undefined);
  opened ??= openKoffi()
    .then(bind)
    .catch(() => undefined);
  return opened;
}

function bind(ffi: Koffi): Libc {
  const self = ffi.load(null);
  // Not koffi.load(path): that closes the library when its handle is garbage collected.
  const dlopen = self.func('void *dlopen(const char *path, int flags)') as (p: string, f: number) => unknown;
  const getenv = self.func('const char *getenv(const char *name)') as (name: string) => string | null;
  const setenv = self.func('int setenv(const char *name, const char *value, int overwrite)');
  const unsetenv = self.func('int unsetenv(const char *name)');
  const dup = self.func('int dup(int fd)') as (fd: number) => number;
  const dup2 = self.func('int dup2(int from, int to)');
  const close = self.func('int close(int fd)');
  const memfd = self.func('int memfd_create(const char *name, unsigned int flags)') as (
    name: string,
    flags: number,
  ) => number;
  // Worker threads share no JavaScript lock that they were not given. The C library's lock of stdin, which Node
  // reads without the C library, is one that all threads can find.
  const stdin: unknown = ffi.decode(self.symbol('stdin'), 'void *');
  const lock = self.func('void flockfile(void *file)');
  const unlock = self.func('void funlockfile(void *file)');

  const setEnvironment = (variables: Record<string, string | null>): void => {
    for (const [name, value] of Object.entries(variables)) {
      if (value === null) unsetenv(name);
      else setenv(name, value, 1);
    }
  };
  return {
    tryLoad: (path) => dlopen(path, RTLD_NOW | RTLD_GLOBAL) !== null,
    runAside(variables, fn) {
      lock(stdin);
      const before = Object.fromEntries(Object.keys(variables).map((name) => [name, getenv(name)]));
      const stderr = dup(2);
      const memory = memfd('stderr', 0);
      const canRedirect = stderr >= 0 && memory >= 0; // not so in some sandboxes
      setEnvironment(variables);
      if (canRedirect) dup2(memory, 2);
      try {
        const value = fn();
        return { value, stderr: canRedirect ? readFileSync(`/proc/self/fd/${memory}`, 'utf8') : '' };
      } finally {
        if (canRedirect) dup2(stderr, 2);
        setEnvironment(before);
        close(stderr);
        close(memory);
        unlock(stdin);
      }
    },
  };
}
