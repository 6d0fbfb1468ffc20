import { type Device, Rng, saveSafetensors } from '@paella/tensor';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sirv from 'sirv';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ByT5Encoder,
  type ByT5Config,
  Paella,
  type PaellaConfig,
  Pipeline,
  VQModel,
  type VQModelConfig,
  openModelFolder,
} from '../src/index.js';
import { json, testDevice } from './helpers.js';

let device: Device;
let folder: string;
let server: Server;

/** A small model with random weights and a ByT5 encoder, written as a folder. */
beforeAll(async () => {
  device = await testDevice();
  folder = await mkdtemp(join(tmpdir(), 'paella-model-'));
  const byt5 = await json<ByT5Config>('byt5-tiny.config.json');
  const unet: PaellaConfig = { ...(await json<PaellaConfig>('paella-tiny.json')), byt5_embd: byt5.d_model };
  const vqgan = { ...(await json<VQModelConfig>('vqmodel-tiny.json')), codebook_size: unet.num_labels };
  const context = { device, rng: new Rng(1) };
  for (const [name, model] of [
    ['unet', new Paella(unet, context)],
    ['vqgan', new VQModel(vqgan, context)],
    ['byt5', new ByT5Encoder(byt5, context)],
  ] as const) {
    await saveSafetensors(join(folder, `${name}.safetensors`), model.stateDict(), { dtype: 'f16' });
    model.dispose();
  }
  const { d_model, d_ff, d_kv, num_layers, num_heads, vocab_size, layer_norm_epsilon } = byt5;
  const { relative_attention_num_buckets, relative_attention_max_distance } = byt5;
  const relative = { relative_attention_num_buckets, relative_attention_max_distance };
  const card = {
    format: 'paella-model/1',
    name: 'tiny',
    description: 'Random weights.',
    image_size: [64, 32],
    unet: { weights: 'unet.safetensors', config: unet },
    vqgan: { weights: 'vqgan.safetensors', config: vqgan },
    text_encoder: {
      kind: 'byt5',
      weights: 'byt5.safetensors',
      config: { d_model, d_ff, d_kv, num_layers, num_heads, vocab_size, layer_norm_epsilon, ...relative },
    },
    captions: { form: 'anything', suffix: '', styles: [] },
    sampler: { steps: 2, renoise_steps: 1, temperature: [0.7, 0.3], cfg: 8 },
    licenses: [],
  };
  await writeFile(join(folder, 'model.json'), JSON.stringify(card));
  server = createServer(sirv(folder, { dev: true })).listen(0, '127.0.0.1');
  await once(server, 'listening');
});

afterAll(async () => {
  server.close();
  await rm(folder, { recursive: true });
});

describe('a model folder', () => {
  it('draws the same from a path and from a URL, with ByT5 reading the prompt', async () => {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const tokens = [];
    for (const where of [folder, `${folder}/`, url, new URL(url)]) {
      const pipeline = await Pipeline.load(where, { device });
      const generation = await pipeline.generate('zwölf 🥘', { seed: 5 });
      expect(generation.images[0]).toMatchObject({ width: 64, height: 32 });
      tokens.push(generation.tokens);
      pipeline.dispose();
    }
    for (const others of tokens.slice(1)) expect(others).toEqual(tokens[0]);
  });

  it('is refused when something is missing or wrong, by name', async () => {
    await expect(openModelFolder(join(folder, 'nowhere'))).rejects.toMatchObject({ code: 'not-found' });
    const broken = await mkdtemp(join(tmpdir(), 'paella-broken-'));
    await writeFile(join(broken, 'model.json'), '{"format":"paella-model/1","unet":3}');
    await expect(openModelFolder(broken)).rejects.toThrow(/unet/);
    await writeFile(join(broken, 'model.json'), 'not json');
    await expect(openModelFolder(broken)).rejects.toMatchObject({ code: 'format' });
    await rm(broken, { recursive: true });
  });
});
