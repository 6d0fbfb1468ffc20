import { describe, expect, it } from 'vitest';
import { readFixture } from '../../../test/fixtures.js';
import {
  bf16ToF32,
  f16ToF32,
  f32ToBf16,
  f32ToF16,
  inspectCheckpoint,
  loadStateDict,
} from '../src/io/index.js';
import {
  PyGlobal,
  PyStorage,
  PyTuple,
  pickle,
  pyDense,
  pyTensor,
  readSegments,
  torchZip,
  zipSegments,
} from './io-files.js';

const golden = (form: string) => readFixture(`packages/tensor/test/golden/paella-tiny${form}.pt`);

async function valuesOf(file: ArrayBuffer | Uint8Array | Blob) {
  const state = await loadStateDict(file);
  const values: Record<string, { shape: number[]; data: Float32Array }> = {};
  for (const key of state.keys()) {
    const { shape, data } = await state.get(key);
    if (!(data instanceof Float32Array)) throw new TypeError(`${key} is no Float32Array`);
    values[key] = { shape, data };
  }
  return values;
}

const failureOf = (file: Uint8Array) =>
  inspectCheckpoint(file).then(
    () => 'it loads',
    (error: { code?: string; message: string }) => `${error.code}: ${error.message}`,
  );

describe('the forms of one checkpoint', () => {
  it('hold the same values, rounded where they are halves', async () => {
    const flat = await valuesOf(await golden(''));
    expect(Object.keys(flat)).toHaveLength(136);
    const exact = (values: Float32Array) => values;
    const forms: [ArrayBuffer | Blob, (values: Float32Array) => Float32Array][] = [
      [await golden('-wrapped'), exact],
      [await golden('-legacy'), exact],
      [new Blob([await golden('-legacy')]), exact],
      [await golden('-f16'), (data) => f16ToF32(f32ToF16(data))],
      [await golden('-bf16'), (data) => bf16ToF32(f32ToBf16(data))],
    ];
    for (const [file, round] of forms) {
      const values = await valuesOf(file);
      expect(Object.keys(values)).toEqual(Object.keys(flat));
      for (const [key, { shape, data }] of Object.entries(values)) {
        const expected = round(flat[key].data);
        expect(shape).toEqual(flat[key].shape);
        expect(data.length).toBe(expected.length);
        expect(data.findIndex((value, i) => !Object.is(value, expected[i]))).toBe(-1);
      }
    }
  });

  it('are told apart', async () => {
    const summary = async (form: string) => {
      const { container, wrapper, tensors, metadata } = await inspectCheckpoint(await golden(form));
      return { container, wrapper, first: tensors[0], metadata };
    };
    const first = { name: 'byt5_mapper.weight', shape: [24, 20], dtype: 'f32' };
    const flat = { container: 'pt-zip', wrapper: undefined, metadata: {}, first };
    expect(await summary('')).toEqual(flat);
    expect(await summary('-legacy')).toEqual({ ...flat, container: 'pt-legacy' });
    expect(await summary('-bf16')).toEqual({ ...flat, first: { ...first, dtype: 'bf16' } });
    const metadata = { iter: 7, scheduler_last_step: 7 };
    expect(await summary('-wrapped')).toEqual({ ...flat, wrapper: 'state_dict', metadata });
  });
});

describe('what PyTorch writes', () => {
  // Saved with PyTorch 2.13 (the legacy container with pickle protocol 4), and with safetensors 0.8.
  it.each(['torch-module', 'torch-views'])('loads as what safetensors writes: %s', async (name) => {
    const open = async (file: string) =>
      loadStateDict(await readFixture(`packages/tensor/test/golden/${name}${file}`));
    const expected = await open('.safetensors');
    for (const form of ['.pt', '-legacy.pt']) {
      const state = await open(form);
      expect(state.keys().toSorted()).toEqual(expected.keys().toSorted());
      for (const key of state.keys()) expect(await state.get(key)).toEqual(await expected.get(key));
    }
  });
});

describe('tensors', () => {
  const floats = Float32Array.from({ length: 12 }, (_, i) => i);
  const storage = new PyStorage('FloatStorage', '0', 12);

  it('may share storages, start inside of them, be transposed, expanded or empty', async () => {
    const file = torchZip(
      new Map([
        ['whole', pyTensor(storage, 0, [3, 4], [4, 1])],
        [
          'tied',
          new PyGlobal('torch._utils._rebuild_parameter', [pyTensor(storage, 0, [3, 4], [4, 1]), true, null]),
        ],
        ['transposed', pyTensor(storage, 0, [4, 3], [1, 4])],
        ['column', pyTensor(storage, 2, [3, 1], [4, 1])],
        ['row', pyTensor(storage, 4, [4], [1])],
        ['expanded', pyTensor(storage, 11, [2, 2], [0, 0])],
        ['scalar', pyTensor(storage, 5, [], [])],
        ['empty', pyTensor(storage, 0, [0, 4], [4, 1])],
      ]),
      { 0: floats },
    );
    const values = await valuesOf(file);
    const lists = Object.fromEntries(Object.entries(values).map(([key, { data }]) => [key, [...data]]));
    expect(lists).toEqual({
      whole: [...floats],
      tied: [...floats],
      transposed: [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11],
      column: [2, 6, 10],
      row: [4, 5, 6, 7],
      expanded: [11, 11, 11, 11],
      scalar: [5],
      empty: [],
    });
    expect(values['scalar'].shape).toEqual([]);
  });

  it('come in the array of their type', async () => {
    const types = {
      DoubleStorage: Float64Array.of(1, -0.1, NaN),
      LongStorage: BigInt64Array.of(1n, -(2n ** 62n), 3n),
      IntStorage: Int32Array.of(1, -2, 3),
      ShortStorage: Int16Array.of(1, -2, 3),
      CharStorage: Int8Array.of(1, -2, 3),
      ByteStorage: Uint8Array.of(1, 2, 255),
      BoolStorage: Uint8Array.of(0, 1, 1),
    };
    const reversed = Object.entries(types).map(
      ([type, data]) =>
        [type, pyTensor(new PyStorage(type, type, data.length), 0, [data.length], [1])] as const,
    );
    const state = await loadStateDict(torchZip(new Map(reversed), types));
    for (const [type, data] of Object.entries(types)) expect((await state.get(type)).data).toEqual(data);
    expect(state.keys().map((key) => state.info(key).dtype)).toEqual([
      'f64',
      'i64',
      'i32',
      'i16',
      'i8',
      'u8',
      'bool',
    ]);
    await expect(state.get('other')).rejects.toMatchObject({ code: 'not-found' });
  });
});

describe('containers', () => {
  it('reads zip64 and deflated entries', async () => {
    const value = new Map([['w', pyDense('0', [3])]]);
    const w = { shape: [3], data: Float32Array.of(1, 2, 3) };
    expect(await valuesOf(torchZip(value, { 0: w.data }, { zip64: true }))).toEqual({ w });
    const deflate = async (bytes: Uint8Array<ArrayBuffer>) => {
      const packed = new Blob([bytes]).stream().pipeThrough(new CompressionStream('deflate-raw'));
      return new Uint8Array(await new Response(packed).arrayBuffer());
    };
    const bytes = new Uint8Array(w.data.buffer);
    const entry = { name: 'm/data/0', data: await deflate(bytes) };
    const pickled = { name: 'm/data.pkl', data: pickle(value) };
    const file = (inflated: number) => {
      const { size, segments } = zipSegments([pickled, { ...entry, inflated }]);
      return readSegments(segments, 0, size);
    };
    expect(await valuesOf(file(12))).toEqual({ w });
    const lying = await loadStateDict(file(13));
    await expect(lying.get('w')).rejects.toMatchObject({ code: 'format' });
  });

  it('finds the state dict in training checkpoints', async () => {
    const weights = new Map([['w', pyDense('0', [1])]]);
    const optimizer = new Map([['exp_avg', pyDense('0', [1])]]);
    const other = new Map([['v', pyDense('0', [1])]]);
    const find = async (value: Map<string, unknown>, wrapper?: string) => {
      const file = torchZip(value, { 0: Float32Array.of(1) });
      const { wrapper: found, tensors, metadata } = await inspectCheckpoint(file, { wrapper });
      return { found, names: tensors.map(({ name }) => name), metadata };
    };
    const training = new Map<string, unknown>([
      ['optimizer', optimizer],
      ['ema_state_dict', other],
      ['model', weights],
      ['loss', pyDense('0', [1])],
      ['epoch', 3],
      ['lr', 1e-4],
      ['seed', 2n ** 63n],
      ['name', 'run 1'],
      ['done', true],
      ['nothing', null],
    ]);
    const metadata = { epoch: 3, lr: 1e-4, seed: '9223372036854775808', name: 'run 1', done: true };
    expect(await find(training)).toEqual({ found: 'model', names: ['w'], metadata });
    expect(await find(training, 'ema_state_dict')).toEqual({
      found: 'ema_state_dict',
      names: ['v'],
      metadata,
    });
    await expect(find(training, 'nothing')).rejects.toMatchObject({ code: 'not-found' });
    expect((await find(new Map([['model', new Map([['state_dict', weights]])]]))).found).toBe(
      'model.state_dict',
    );
    const parallel = new Map([
      ['module.a', pyDense('0', [1])],
      ['module.module.b', pyDense('0', [1])],
    ]);
    expect((await find(new Map([['state_dict', parallel]]))).names).toEqual(['a', 'module.b']);
    await expect(find(new Map([['optimizer', optimizer]]))).rejects.toThrow(/its keys are optimizer/);
  });
});

describe('hostile files', () => {
  const weights = { 0: new Float32Array(4) };
  const withTensor = (tensor: unknown) => torchZip(new Map([['w', tensor]]), weights);
  const storage = new PyStorage('FloatStorage', '0', 4);
  const bare = (bytes: number[]) => {
    const { size, segments } = zipSegments([{ name: 'm/data.pkl', data: Uint8Array.from(bytes) }]);
    return readSegments(segments, 0, size);
  };

  it('may ask for no code: it is refused by name', async () => {
    const attack = torchZip(new Map([['w', new PyGlobal('os.system', ['touch /tmp/owned'])]]));
    expect(await failureOf(attack)).toMatch(/^format: the buffer: it needs the Python object os\.system/);
    for (const name of [
      'builtins.eval',
      'torch._utils._rebuild_tensor_v3',
      'torch.load',
      'toString.constructor',
    ]) {
      expect(await failureOf(withTensor(new PyGlobal(name, [])))).toContain(`Python object ${name}`);
    }
    expect(await failureOf(withTensor(new PyGlobal('torch.FloatStorage', [])))).toMatch(/^format/);
  });

  it.each<[string, unknown]>([
    ['a shape beyond its storage', pyTensor(storage, 0, [5], [1])],
    ['strides beyond its storage', pyTensor(storage, 0, [2, 2], [3, 1])],
    ['an offset beyond its storage', pyTensor(storage, 4, [1], [1])],
    ['a negative stride', pyTensor(storage, 3, [2], [-1])],
    ['a negative size', pyTensor(storage, 0, [-2], [1])],
    ['sizes whose product overflows', pyTensor(storage, 0, [2 ** 31 - 1, 2 ** 31 - 1, 16], [0, 0, 0])],
    ['an expansion to a terabyte', pyTensor(storage, 0, [2 ** 20, 2 ** 20], [0, 0])],
    ['fewer strides than sizes', pyTensor(storage, 0, [2, 2], [2])],
    ['a thousand axes', pyTensor(storage, 0, Array(1000).fill(1), Array(1000).fill(1))],
    ['a storage larger than its entry', pyTensor(new PyStorage('FloatStorage', '0', 5), 0, [5], [1])],
    ['a storage that is not there', pyTensor(new PyStorage('FloatStorage', '../0', 4), 0, [4], [1])],
    ['complex numbers', pyTensor(new PyStorage('ComplexFloatStorage', '0', 2), 0, [2], [1])],
    ['a tensor without arguments', new PyGlobal('torch._utils._rebuild_tensor_v2', [])],
    ['a parameter of text', new PyGlobal('torch._utils._rebuild_parameter', ['text'])],
    ['a storage named by a list', pyTensor(new PyTuple([[]]) as unknown as PyStorage, 0, [1], [1])],
  ])('may not claim %s', async (_, tensor) => {
    expect(await failureOf(withTensor(tensor))).toMatch(/^format: the buffer: /);
  });

  it.each<[string, number[]]>([
    ['an empty pickle', []],
    ['an empty stack', [0x80, 2, 0x2e]],
    ['a string of 4 GB', [0x80, 2, 0x58, 255, 255, 255, 255, 0x2e]],
    ['a string of 2^63 bytes', [0x80, 4, 0x8d, 0, 0, 0, 0, 0, 0, 0, 0x7f, 0x2e]],
    ['a number of 4 GB', [0x80, 2, 0x8b, 255, 255, 255, 255, 0x2e]],
    ['a value never stored', [0x80, 2, 0x6a, 255, 255, 255, 255, 0x2e]],
    ['a group never opened', [0x80, 2, 0x4e, 0x74, 0x2e]],
    ['half a dict item', [0x80, 2, 0x7d, 0x28, 0x4e, 0x75, 0x2e]],
    ['items of no dict', [0x80, 2, 0x4e, 0x4e, 0x4e, 0x73, 0x2e]],
    ['a call of text', [0x80, 2, 0x58, 0, 0, 0, 0, 0x29, 0x52, 0x2e]],
    ['an unknown opcode', [0x80, 2, 0x69, 0x2e]],
    ['an endless line', [0x80, 2, 0x63, 0x61, 0x61]],
    ['three million dicts', [0x80, 2].concat(Array(3_000_000).fill(0x7d))],
    ['no dict', [0x80, 2, 0x4e, 0x2e]],
    [
      'lists in lists, 100000 deep',
      [0x80, 2].concat(Array(100_000).fill(0x5d), Array(99_999).fill(0x61), 0x2e),
    ],
    [
      'a dict inside of itself',
      [0x80, 2, 0x7d, 0x71, 0, 0x58, 5, 0, 0, 0, 109, 111, 100, 101, 108, 0x68, 0, 0x73, 0x2e],
    ],
  ])('may not hold %s', async (_, bytes) => {
    expect(await failureOf(bare(bytes))).toMatch(/^format: the buffer: /);
  });

  it('may not be cut short anywhere', async () => {
    const zip = withTensor(pyDense('0', [4]));
    const legacy = new Uint8Array(await golden('-legacy'));
    expect(await failureOf(zip)).toBe('it loads');
    for (let length = 0; length < zip.length; length += 3) {
      expect(await failureOf(zip.slice(0, length))).toMatch(/^format/);
    }
    for (let length = 0; length < legacy.length; length += 9973) {
      expect(await failureOf(legacy.slice(0, length))).toMatch(/^format/);
    }
    expect(await failureOf(legacy.slice(0, -1))).toMatch(/^format/);
  });

  it('are told from files of another kind', async () => {
    const text = (words: string) => failureOf(new TextEncoder().encode(words));
    expect(await text('version https://git-lfs.github.com/spec/v1\noid')).toMatch(/Git LFS pointer/);
    expect(await text('<!doctype html><html>')).toMatch(/web page/);
    expect(await text('{"weight_map": {"w": "../../etc/passwd"}}')).toMatch(/no plain file name/);
    expect(await text('{"weight_map": {"w": "w.safetensors"}}')).toMatch(/^argument: .*by its path or URL/);
    expect(await text('GIF89a')).toMatch(/neither safetensors nor a PyTorch checkpoint/);
  });
});
