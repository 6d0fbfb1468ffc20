import { describe, expect, it } from 'vitest';
import { readFixture } from '../../../test/fixtures.js';
import {
  loadStateDict,
  safetensorsBlob,
  saveSafetensors,
  stateDictOf,
  type NamedTensor,
} from '../src/io/index.js';

const bytesOf = async (blob: Blob) => new Uint8Array(await blob.arrayBuffer());

/** A file with this header text and so many bytes of values. */
function fileWith(header: string, values = 0): Uint8Array {
  const text = new TextEncoder().encode(header);
  const file = new Uint8Array(8 + text.length + values);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  return file;
}

const everyType: [string, NamedTensor][] = [
  ['f64', { shape: [2], data: Float64Array.of(0.1, NaN) }],
  ['f32', { shape: [1, 3], data: Float32Array.of(0.1, -Infinity, 1e-45) }],
  ['bf16', { shape: [1], data: Float32Array.of(1.75 * 2 ** 127), dtype: 'bf16' }],
  ['f16', { shape: [3], data: Float32Array.of(0.5, 65504, -(2 ** -24)), dtype: 'f16' }],
  ['i64', { shape: [2], data: BigInt64Array.of(-(2n ** 63n), 5n) }],
  ['u64', { shape: [1], data: BigUint64Array.of(2n ** 64n - 1n) }],
  ['i32', { shape: [1], data: Int32Array.of(-5) }],
  ['u32', { shape: [1], data: Uint32Array.of(2 ** 32 - 1) }],
  ['i16', { shape: [1], data: Int16Array.of(-5) }],
  ['u16', { shape: [1], data: Uint16Array.of(65535) }],
  ['i8', { shape: [1], data: Int8Array.of(-5) }],
  ['u8', { shape: [], data: Uint8Array.of(255) }],
  ['bool', { shape: [3], data: Uint8Array.of(0, 1, 1), dtype: 'bool' }],
  ['0', { shape: [0, 7], data: new Float32Array(0) }],
];

describe('writing', () => {
  it('and reading gives back every type, shape and text', async () => {
    const metadata = { format: 'pt', 'a "key"\n': 'ünï', step: 7, done: true };
    const blob = await safetensorsBlob(everyType, { metadata });
    const state = await loadStateDict(blob);
    expect(state.metadata).toEqual({ format: 'pt', 'a "key"\n': 'ünï', step: '7', done: 'true' });
    expect(state.keys().toSorted()).toEqual(everyType.map(([name]) => name).toSorted());
    for (const [name, { shape, data, dtype }] of everyType) {
      const stored = await state.get(name);
      expect(stored.shape).toEqual(shape);
      expect(stored.dtype).toBe(dtype ?? (name === '0' ? 'f32' : name));
      expect(stored.data).toEqual(data);
    }
    expect(await bytesOf(await safetensorsBlob(state, { metadata }))).toEqual(await bytesOf(blob));
  });

  it('gives the very bytes of the reference implementation', async () => {
    const file = new Uint8Array(await readFixture('packages/tensor/test/golden/ops.safetensors'));
    const written = await bytesOf(await safetensorsBlob(await loadStateDict(file)));
    expect(written.length).toBe(file.length);
    expect(written.findIndex((byte, i) => byte !== file[i])).toBe(-1);
  });

  it('aligns the values to 8 bytes whatever the names', async () => {
    for (let length = 1; length < 10; length++) {
      const file = await bytesOf(
        await safetensorsBlob([['n'.repeat(length), { shape: [], data: Int8Array.of(1) }]]),
      );
      expect((file.length - 1) % 8).toBe(0);
    }
  });

  it('rounds floats to the type asked for, and leaves integers alone', async () => {
    const state = stateDictOf([
      ['w', { shape: [2], data: Float32Array.of(1 + 2 ** -11 + 2 ** -20, 3) }],
      ['d', { shape: [1], data: Float64Array.of(0.1) }],
      ['n', { shape: [1], data: BigInt64Array.of(9n) }],
    ]);
    const half = await loadStateDict(await safetensorsBlob(state, { dtype: 'f16' }));
    expect(await half.get('w')).toEqual({ shape: [2], dtype: 'f16', data: Float32Array.of(1 + 2 ** -10, 3) });
    expect((await half.get('n')).data).toEqual(BigInt64Array.of(9n));
    const single = await loadStateDict(await safetensorsBlob(state, { dtype: 'f32' }));
    expect(await single.get('d')).toEqual({ shape: [1], dtype: 'f32', data: Float32Array.of(0.1) });
  });

  it('refuses what it cannot store faithfully', async () => {
    const save = (tensor: NamedTensor, dtype?: 'f16') => safetensorsBlob([['w', tensor]], { dtype });
    await expect(save({ shape: [1], data: Float32Array.of(7e4) }, 'f16')).rejects.toThrow(
      /w holds 70000, beyond/,
    );
    await expect(save({ shape: [1], data: Float32Array.of(1), dtype: 'i32' })).rejects.toMatchObject({
      code: 'dtype',
    });
    await expect(save({ shape: [2], data: Float32Array.of(1) })).rejects.toMatchObject({ code: 'shape' });
    const twice: [string, NamedTensor] = ['w', { shape: [1], data: Float32Array.of(1) }];
    await expect(safetensorsBlob([twice, twice])).rejects.toMatchObject({ code: 'argument' });
    const stopped = saveSafetensors(() => undefined, [twice], { signal: AbortSignal.abort() });
    await expect(stopped).rejects.toMatchObject({ code: 'aborted' });
  });
});

describe('damaged files', () => {
  const tensor = (begin: number, end: number, shape = [end - begin], dtype = 'U8') =>
    JSON.stringify({ dtype, shape, data_offsets: [begin, end] });
  it.each<[string, Uint8Array]>([
    ['a header beyond the file', fileWith(`{"a":${tensor(0, 4)}}`, 4).slice(0, 30)],
    ['a header of 4 GB', Uint8Array.of(255, 255, 255, 255, 0, 0, 0, 0, 0x7b, 0x7d)],
    ['no JSON', fileWith('{"a":')],
    ['no UTF-8', Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0xff, 0x7d)],
    ['an unknown dtype', fileWith(`{"a":${tensor(0, 4, [4], 'F8_E4M3')}}`, 4)],
    ['a name twice', fileWith(`{"a":${tensor(0, 4)},"a":${tensor(0, 4)}}`, 4)],
    ['a name twice, written differently', fileWith(`{"a":${tensor(0, 4)},"\\u0061":${tensor(0, 4)}}`, 4)],
    ['overlapping tensors', fileWith(`{"a":${tensor(0, 4)},"b":${tensor(2, 6)}}`, 6)],
    ['a gap', fileWith(`{"a":${tensor(0, 4)},"b":${tensor(5, 6)}}`, 6)],
    ['a tensor beyond the end', fileWith(`{"a":${tensor(0, 4)}}`, 3)],
    ['bytes that belong to nothing', fileWith(`{"a":${tensor(0, 4)}}`, 5)],
    ['a shape that does not fill its span', fileWith(`{"a":${tensor(0, 4, [5])}}`, 4)],
    ['an overflowing shape', fileWith(`{"a":${tensor(0, 4, [2 ** 40, 2 ** 40])}}`, 4)],
    ['a negative size', fileWith(`{"a":${tensor(0, 4, [-2, -2])}}`, 4)],
    ['negative offsets', fileWith(`{"a":${tensor(-4, 0, [4])}}`)],
    ['offsets that are texts', fileWith('{"a":{"dtype":"U8","shape":[1],"data_offsets":["0","1"]}}', 1)],
    ['a tensor that is a list', fileWith('{"a":[]}')],
    ['metadata that is no text', fileWith('{"__metadata__":{"a":1}}')],
    [
      'a deep shape',
      fileWith(`{"a":{"dtype":"U8","shape":${'['.repeat(9999)}${']'.repeat(9999)},"data_offsets":[0,0]}}`),
    ],
  ])('are refused: %s', async (_, file) => {
    await expect(loadStateDict(file)).rejects.toMatchObject({ name: 'PaellaError', code: 'format' });
    await expect(loadStateDict(file)).rejects.toThrow(/^the buffer: /);
  });
});
