/** What has changed since settings were written down. */
import { isDeepStrictEqual } from 'node:util';

export interface Difference {
  /** With dots. */
  key: string;
  was: unknown;
  is: unknown;
}

/** Every value that is not the same in both, however deep; arrays count as one value. */
export function differences(was: unknown, is: unknown, key = ''): Difference[] {
  const isObject = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isObject(was) || !isObject(is)) return isDeepStrictEqual(was, is) ? [] : [{ key, was, is }];
  const names = new Set([...Object.keys(was), ...Object.keys(is)]);
  return [...names].flatMap((name) => differences(was[name], is[name], key ? `${key}.${name}` : name));
}

/** For errors: `a.b was 1, is 2; c was absent, is "x"`. */
export const listOf = (changes: readonly Difference[]): string =>
  changes.map(({ key, was, is }) => `${key} was ${show(was)}, is ${show(is)}`).join('; ');

const show = (value: unknown): string => (value === undefined ? 'absent' : JSON.stringify(value));
