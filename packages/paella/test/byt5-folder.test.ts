import { type NamedTensor, type StateDict, loadStateDict, saveSafetensors } from '@paella/tensor';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { ByT5Encoder, byt5Tokenize, openByT5Folder } from '../src/index.js';
import { pyDense, torchZip } from '../../tensor/test/io-files.js';
import { checkpoint, expectGolden, json, testDevice, text } from './helpers.js';
import { webFolder } from './web-folder.js';

type Tensors = Map<string, NamedTensor & { data: Float32Array<ArrayBuffer> }>;

/** An encoder, its embedding under both names, and a decoder that is larger than any header. */
let tensors: Tensors;
let config: string;
beforeAll(async () => {
  config = await text('byt5-tiny.config.json');
  const encoder = await checkpoint('byt5-tiny.safetensors');
  tensors = new Map();
  const decoder = { shape: [64, 1024], data: new Float32Array(64 * 1024).fill(NaN) };
  for (const key of ['decoder.block.0.layer.0.SelfAttention.q.weight', 'lm_head.weight'])
    tensors.set(key, decoder);
  for (const key of encoder.keys()) {
    tensors.set(key, (await encoder.get(key)) as NamedTensor & { data: Float32Array<ArrayBuffer> });
  }
  tensors.set('encoder.embed_tokens.weight', tensors.get('shared.weight')!);
});
afterEach(() => vi.unstubAllGlobals());

async function safetensors(of: Tensors): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  await saveSafetensors((chunk) => void chunks.push(chunk), of);
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

function torch(of: Tensors): Uint8Array<ArrayBuffer> {
  const entries = [...of].map(([name, { shape, data }], i) => ({
    name,
    key: `s${i}`,
    shape: [...shape],
    data,
  }));
  return torchZip(
    new Map(entries.map(({ name, key, shape }) => [name, pyDense(key, shape)])),
    Object.fromEntries(entries.map(({ key, data }) => [key, data])),
  );
}

/** Two files and their index, as `save_pretrained` splits a large model. */
async function sharded(
  write: (of: Tensors) => Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>>,
  index: string,
): Promise<Record<string, Uint8Array<ArrayBuffer> | string>> {
  const names = ['part-1', 'part-2'];
  const shards = names.map((_, n) => new Map([...tensors].filter((__, i) => i % 2 === n)));
  const weight_map = Object.fromEntries(
    shards.flatMap((shard, n) => [...shard.keys()].map((key) => [key, names[n]])),
  );
  const [first, second] = shards;
  return {
    [names[0]]: await write(first),
    [names[1]]: await write(second),
    [index]: JSON.stringify({ metadata: {}, weight_map }),
  };
}

const without = (key: string): Tensors => new Map([...tensors].filter(([name]) => name !== key));

describe('a ByT5 folder of Hugging Face', () => {
  const forms: [string, () => unknown][] = [
    ['model.safetensors', async () => ({ 'model.safetensors': await safetensors(tensors) })],
    ['sharded safetensors', () => sharded(safetensors, 'model.safetensors.index.json')],
    ['pytorch_model.bin', () => ({ 'pytorch_model.bin': torch(tensors) })],
    ['sharded .bin', () => sharded(torch, 'pytorch_model.bin.index.json')],
    [
      "an embedding under the encoder's name",
      () => ({ 'pytorch_model.bin': torch(without('shared.weight')) }),
    ],
  ];
  it.each(forms)('gives the hidden states of transformers: %s', async (_, files) => {
    const weights = (await files()) as Record<string, Uint8Array<ArrayBuffer> | string>;
    const { url, reads } = webFolder({ 'config.json': config, ...weights });
    const folder = await openByT5Folder(url);
    const device = await testDevice();
    const encoder = new ByT5Encoder(folder.config, { device });
    const state = await folder.state();
    reads.clear();
    await encoder.loadStateDict(state);
    // The decoder's two tensors are 512 KiB; all that the encoder has is less than half of one.
    const bytes = [...reads.values()].flat().reduce((sum, [from, to]) => sum + to - from, 0);
    expect(bytes).toBeLessThan(128 << 10);
    const golden = await checkpoint('byt5-tiny.golden.safetensors');
    for (const [i, string] of (await json<string[]>('byt5-tiny.strings.json')).entries()) {
      const ids = byt5Tokenize(string);
      const states = encoder.forward(device.tensor(ids, [1, ids.length]));
      await expectGolden(states, golden, `${i}/last_hidden_state`);
      states.dispose();
    }
    encoder.dispose();
  });

  it('is asked for nothing but the encoder', async () => {
    const state = await loadStateDict(await safetensors(tensors));
    const asked: string[] = [];
    const spy: StateDict = {
      ...state,
      get(key) {
        asked.push(key);
        return state.get(key);
      },
    };
    const { url } = webFolder({ 'config.json': config });
    const encoder = new ByT5Encoder((await openByT5Folder(url)).config, { device: await testDevice() });
    await encoder.loadStateDict(spy);
    expect(asked.filter((key) => !/^(shared|encoder\.(block|final_layer_norm))\./.test(key))).toEqual([]);
    expect(new Set(asked).size).toBe(encoder.namedParameters().length);
    encoder.dispose();
  });

  it('ignores what it does not need to know, and takes defaults for what old files leave out', async () => {
    const { relative_attention_max_distance: _, ...old } = JSON.parse(config) as Record<string, unknown>;
    const { url } = webFolder({ 'config.json': JSON.stringify(old) });
    const { config: read } = await openByT5Folder(url);
    expect(read).toEqual({
      d_model: 24,
      d_ff: 40,
      d_kv: 8,
      num_layers: 2,
      num_heads: 4,
      vocab_size: 384,
      relative_attention_num_buckets: 32,
      relative_attention_max_distance: 128,
      layer_norm_epsilon: 1e-6,
    });
  });

  it('is refused when it is something else, by name', async () => {
    const open = (files: Record<string, string>) => openByT5Folder(webFolder(files).url);
    const changed = (change: object) => ({
      'config.json': JSON.stringify({ ...(JSON.parse(config) as object), ...change }),
    });
    await expect(open({})).rejects.toThrow(/folder.*is no ByT5 folder: it has no config.json/);
    await expect(open({ 'config.json': 'x' })).rejects.toThrow(/config.json is not JSON/);
    await expect(open({ 'config.json': '{"model_type":"bert"}' })).rejects.toThrow(
      /config\.json: [^]*d_model/,
    );
    await expect(open(changed({ feed_forward_proj: 'relu' }))).rejects.toThrow(/"gated-gelu", got "relu"/);
    await expect(open(changed({ vocab_size: 250112 }))).rejects.toThrow(/must be 384, got 250112/);
    const empty = await open({ 'config.json': config });
    await expect(empty.state()).rejects.toThrow(/no weights: none of model.safetensors, .*index.json/);
  });
});
