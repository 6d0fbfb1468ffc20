/** Waits for a promise of WebGPU's; in Node there is more to it. */
export const waitFor = <T>(promise: Promise<T>): Promise<T> => promise;
