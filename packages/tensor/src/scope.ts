import { PaellaError } from './errors.js';

/** What a scope can own. */
interface Owned {
  dispose(): void;
}

interface Scope {
  readonly owned: Set<Owned>;
  readonly parent: Scope | null;
  /** Its function is done, but a scope that began later is still open. */
  ended: boolean;
}

let current: Scope | null = null;

/** Gives a new tensor to the innermost scope. */
export function adopt(tensor: Owned): void {
  current?.owned.add(tensor);
}

/** Takes a tensor out of every open scope: whoever calls this disposes of it. */
export function disown(tensor: Owned): void {
  for (let open = current; open; open = open.parent) open.owned.delete(tensor);
}

/**
 * Runs `fn` and frees every tensor made inside it, except those in what it returns (a tensor, or arrays
 * and plain objects of tensors, nested), which pass to the scope around this one.
 *
 * `fn` may be async; then the scope ends when its promise settles. Async scopes may nest but not overlap:
 * JavaScript cannot tell which of two concurrent scopes a tensor belongs to, so run such work one after
 * the other.
 *
 * @throws PaellaError `scope` if an async scope ends while one that began later is still open
 */
export function scope<T>(fn: () => T): T {
  const mine: Scope = { owned: new Set(), parent: current, ended: false };
  current = mine;
  let result: T;
  try {
    result = fn();
  } catch (error) {
    close(mine, undefined);
    throw error;
  }
  if (result instanceof Promise) {
    return result.then(
      (value) => close(mine, value),
      (error: unknown) => {
        close(mine, undefined);
        throw error;
      },
    ) as T;
  }
  return close(mine, result);
}

function close<T>(mine: Scope, result: T): T {
  if (current !== mine) {
    mine.ended = true;
    throw new PaellaError('scope', 'two async scopes overlap', {
      fix: 'Await one async scope (a generation, a training step) before starting the next.',
    });
  }
  current = mine.parent;
  keepReachable(mine, result);
  for (const tensor of mine.owned) tensor.dispose();
  // What an overlapping scope left behind goes now, so that the error was all the harm.
  while (current?.ended) {
    const left: Scope = current;
    current = left.parent;
    for (const tensor of left.owned) tensor.dispose();
  }
  return result;
}

function keepReachable(from: Scope, value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  if (from.owned.delete(value as Owned)) {
    from.parent?.owned.add(value as Owned);
  } else if (Array.isArray(value) || value instanceof Map) {
    for (const item of value.values()) keepReachable(from, item);
  } else if (Object.getPrototypeOf(value) === Object.prototype) {
    for (const item of Object.values(value)) keepReachable(from, item);
  }
}
