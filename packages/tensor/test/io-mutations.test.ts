/** Damages valid files in every way fast-check thinks of: each load must end soon, in values or in a PaellaError. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readFixture } from '../../../test/fixtures.js';
import { PaellaError } from '../src/errors.js';
import { loadStateDict, safetensorsBlob } from '../src/io/index.js';
import { pyDense, pyTensor, PyStorage, torchZip } from './io-files.js';

/** What a load ended in: `fine`, or what no load may end in. */
async function outcome(file: Uint8Array): Promise<string> {
  try {
    const state = await loadStateDict(file);
    for (const key of state.keys()) {
      const { shape, data } = await state.get(key);
      if (data.length !== shape.reduce((a, b) => a * b, 1)) return `${key} has ${data.length} values`;
    }
    return 'fine';
  } catch (error) {
    const isClear = error instanceof PaellaError && error.message.includes('the buffer');
    return isClear ? 'fine' : String(error);
  }
}

type Edit = (file: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>;

/** Mostly single bytes and 32-bit extremes near the interesting ends of the file. */
const edits: fc.Arbitrary<Edit> = fc.oneof(
  fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(255)).map(([where, byte]): Edit => (file) => {
    file[Math.floor(where * (file.length - 1))] = byte;
    return file;
  }),
  fc
    .tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0, 1, 0x7fffffff, 0xffffffff))
    .map(([where, word]): Edit => (file) => {
      if (file.length >= 4)
        new DataView(file.buffer).setUint32(Math.floor(where * (file.length - 4)), word, true);
      return file;
    }),
  fc.double({ min: 0, max: 1, noNaN: true }).map(
    (where): Edit =>
      (file) =>
        file.slice(0, where * file.length),
  ),
  fc
    .tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.uint8Array({ maxLength: 9 }))
    .map(([where, extra]): Edit => (file) => {
      const at = Math.floor(where * file.length);
      return Uint8Array.from([...file.subarray(0, at), ...extra, ...file.subarray(at)]);
    }),
);

const small = new Map([
  ['w', pyDense('0', [2, 3])],
  ['t', pyTensor(new PyStorage('HalfStorage', '1', 6), 0, [2, 3], [1, 2])],
]);
const storages = { 0: new Float32Array(6), 1: new Uint16Array(6) };

const files: [string, () => Promise<Uint8Array<ArrayBuffer>>][] = [
  ['pt-zip', async () => torchZip(small, storages)],
  ['pt-zip, zip64', async () => torchZip(small, storages, { zip64: true })],
  [
    'safetensors',
    async () =>
      new Uint8Array(
        await (
          await safetensorsBlob([
            ['w', { shape: [2, 3], data: new Float32Array(6) }],
            ['n', { shape: [], data: BigInt64Array.of(1n) }],
          ])
        ).arrayBuffer(),
      ),
  ],
  [
    'pt-legacy',
    async () => new Uint8Array(await readFixture('packages/tensor/test/golden/paella-tiny-legacy.pt')),
  ],
];

describe.each(files)('a damaged %s', (name, make) => {
  it('gives values or a PaellaError', async () => {
    const file = await make();
    const runs = name === 'pt-legacy' ? 60 : 400;
    await fc.assert(
      fc.asyncProperty(fc.array(edits, { minLength: 1, maxLength: 3 }), async (damage) => {
        expect(await outcome(damage.reduce((bytes, edit) => edit(bytes), file.slice()))).toBe('fine');
      }),
      { numRuns: runs, seed: 7 },
    );
  });
});
