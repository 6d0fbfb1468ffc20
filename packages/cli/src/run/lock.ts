/** One process a folder: a file says which, and one whose process is gone is taken over. */
import { PaellaError } from '@paella/tensor';
import { readFileSync, renameSync, rmSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { createResult } from '../files.js';

interface Owner {
  pid: number;
  host: string;
  /** When the process was started, where the system tells: process ids are used again, soon so in containers. */
  started: string | null;
}

/**
 * Takes a lock file.
 *
 * @param what for errors: `process 17 is training in runs/a`
 * @param options.overHosts take it from processes of other machines, of which nothing tells whether they are alive: for
 *   work that does no harm when two do it
 * @returns gives it back; does nothing if it is no longer this process's
 * @throws PaellaError `unsupported` while a live process holds it, this one included, or one of another machine
 */
export function takeLock(path: string, what: string, { overHosts = false } = {}): () => void {
  const own = `${JSON.stringify({ pid: process.pid, host: hostname(), started: startOf(process.pid) })}\n`;
  for (let tries = 0; !createResult(path, own); tries++) {
    const held = read(path);
    const owner = held && parse(held);
    const isHeld = owner && (owner.host === hostname() ? isAlive(owner) : !overHosts);
    if (isHeld) throw heldBy(owner, path, what);
    if (tries === 10) throw new PaellaError('unsupported', `${path} cannot be taken`, { fix: 'Delete it.' });
    if (held !== null) remove(path, held);
  }
  return () => remove(path, own);
}

function heldBy({ pid, host }: Owner, path: string, what: string): PaellaError {
  const isHere = host === hostname();
  return new PaellaError('unsupported', `process ${pid}${isHere ? '' : ` of ${host}`} is ${what}`, {
    fix: isHere ? 'Wait until it ends, or stop it.' : `Wait until it ends; if it is gone, delete ${path}.`,
  });
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null; // given back in between
  }
}

function parse(content: string): Owner | null {
  try {
    const owner = JSON.parse(content) as Owner;
    return Number.isSafeInteger(owner.pid) && owner.pid > 0 ? owner : null;
  } catch {
    return null; // written by a process that was killed meanwhile
  }
}

/** Removes the file if it holds `content`. Renaming comes first: what another process created since is put back. */
function remove(path: string, content: string): void {
  const aside = `${path}.${randomUUID()}.old`;
  try {
    renameSync(path, aside);
  } catch {
    return; // another process was faster
  }
  if (read(aside) !== content) createResult(path, read(aside) ?? '');
  rmSync(aside, { force: true });
}

function isAlive({ pid, started }: Owner): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const now = startOf(pid);
  return started === null || now === null || started === now;
}

/**
 * When a process was started: on Linux the boot and the clock ticks since then, elsewhere unknown. One that was killed and
 * that its parent has not noticed yet was started at no time.
 */
function startOf(pid: number): string | null {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    // The name of the program, in parentheses, may hold anything; the state follows, and the start is the 20th.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return fields[0] === 'Z' ? 'ended' : `${boot} ${fields[19]}`;
  } catch {
    return null;
  }
}
