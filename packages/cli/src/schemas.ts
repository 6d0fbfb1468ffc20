import * as v from 'valibot';

/** JSON5 has infinity, and Valibot takes it. */
export const finite = v.pipe(v.number(), v.finite());

/** A number from 0 up without a fraction. */
export const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/** What is no list: Valibot takes one for an object without keys. */
export const anyObject = v.custom<unknown>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  ({ received }) => `Expected object but received ${received}`,
);
