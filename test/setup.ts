/** Runs before every test file, in Node and in the browser. */
if (typeof document !== 'undefined' && !navigator.gpu) {
  throw new Error(
    `no WebGPU in ${navigator.userAgent}: name another browser in the environment variable PAELLA_CHROME`,
  );
}
