import * as v from 'valibot';

/** JSON has infinity as `1e999`, and Valibot takes it. */
export const finite = v.pipe(v.number(), v.finite());

export const count = v.pipe(v.number(), v.safeInteger(), v.minValue(1));

/** What is no list: Valibot takes one for an object without keys. */
export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const anyObject = v.custom<unknown>(
  isObject,
  ({ received }) => `Expected object but received ${received}`,
);
