import { Device, Rng, type Tensor, scope } from '@paella/tensor';
import { describe, expect, it } from 'vitest';
import {
  ByT5Encoder,
  type ByT5Config,
  PAELLA_V3,
  Paella,
  type PaellaConfig,
  Pipeline,
  VQModel,
  type VQModelConfig,
  byt5Tokenize,
} from '../src/index.js';
import { checkpoint, expectGolden, floats, imageInput, input, json, testDevice, text } from './helpers.js';

async function tinyPaella(device: Device): Promise<Paella> {
  const unet = new Paella(await json<PaellaConfig>('paella-tiny.json'), { device });
  await unet.loadStateDict(await checkpoint('paella-tiny.pt'));
  return unet;
}

describe('Paella against PyTorch', () => {
  it('predicts the reference logits for every kind of condition', () =>
    scope(async () => {
      const device = await testDevice();
      const unet = await tinyPaella(device);
      const golden = await checkpoint('paella-tiny.golden.safetensors');
      const tokens = await input(device, golden, 'tokens');
      const [byt5, clip, clipImage] = await Promise.all(
        ['byt5', 'clip', 'clip_image'].map((name) => input(device, golden, name)),
      );
      const r = await floats(golden, 'r');
      await expectGolden(unet.genREmbedding(r), golden, 'r_embedding');
      await expectGolden(unet.genCEmbeddings({ byt5, clip, clipImage }), golden, 'c_embed');
      await expectGolden(unet.forward(tokens, r, { byt5, clip, clipImage }), golden, 'logits');
      await expectGolden(unet.forward(tokens, r, { byt5 }), golden, 'logits_byt5_only');
      unet.dispose();
    }));

  it('needs nothing of an adapter that WebGPU does not guarantee', () =>
    scope(async () => {
      const device = await Device.create({ baseline: true });
      expect(device.info.limits.maxStorageBuffersPerShaderStage).toBe(8);
      expect(device.info.limits.maxComputeInvocationsPerWorkgroup).toBe(256);
      const unet = await tinyPaella(device);
      const golden = await checkpoint('paella-tiny.golden.safetensors');
      const [tokens, byt5] = await Promise.all(['tokens', 'byt5'].map((key) => input(device, golden, key)));
      await expectGolden(
        unet.forward(tokens, await floats(golden, 'r'), { byt5 }),
        golden,
        'logits_byt5_only',
      );
      // The embedded model's sizes choose the fast kernels, and its head samples.
      const pipeline = await Pipeline.load('default', { device });
      const { images } = await pipeline.generate('a red apple', { seed: 1, steps: 1 });
      expect(images[0].width).toBe(64);
      pipeline.dispose();
      device.destroy();
    }));

  it('re-weights attention and takes several CLIP images', () =>
    scope(async () => {
      const device = await testDevice();
      const unet = await tinyPaella(device);
      const golden = await checkpoint('paella-tiny.golden.safetensors');
      const attn = await checkpoint('paella-tiny.attn.safetensors');
      const tokens = await input(device, golden, 'tokens');
      const [byt5, clip, clipImage] = await Promise.all(
        ['byt5', 'clip', 'clip_image'].map((name) => input(device, golden, name)),
      );
      const r = await floats(golden, 'r');
      const attnWeights = await floats(attn, 'attn_weights');
      const weighted = unet.forward(tokens, r, { byt5, clip, clipImage, attnWeights });
      await expectGolden(weighted, attn, 'logits_attn_weights');
      const { data, shape } = await golden.get('clip_image');
      const width = shape[1];
      const reversed = Float32Array.from(data as Float32Array, (_, i) => {
        const row = shape[0] - 1 - Math.floor(i / width);
        return (data as Float32Array)[row * width + (i % width)];
      });
      const images: Tensor[] = [clipImage, device.tensor(reversed, shape)];
      await expectGolden(
        unet.forward(tokens, r, { byt5, clip, clipImage: images }),
        attn,
        'logits_two_images',
      );
      unet.dispose();
    }));

  it('gives a batch of conditions of different length what each gets alone', () =>
    scope(async () => {
      const device = await testDevice();
      const unet = await tinyPaella(device);
      const golden = await checkpoint('paella-tiny.golden.safetensors');
      const tokens = await input(device, golden, 'tokens');
      const byt5 = await input(device, golden, 'byt5');
      const clip = await input(device, golden, 'clip');
      const attnWeights = [0.3, 1.5];
      const long = { byt5, clip, attnWeights };
      const short = { byt5: byt5.slice(1, 0, 2) };
      const both = unet.prepare([long, short]);
      const tokensTwice = device.tensor(
        Uint32Array.from([...(await tokens.data()), ...(await tokens.data())]),
        [4, ...tokens.shape.slice(1)],
      );
      const together = await unet.forward(tokensTwice, 0.6, both).data();
      const apart = [
        ...(await unet.forward(tokens, 0.6, long).data()),
        ...(await unet.forward(tokens, 0.6, short).data()),
      ];
      for (let i = 0; i < apart.length; i += 97) expect(together[i]).toBeCloseTo(apart[i], 4);
      both.dispose();
      unet.dispose();
    }));

  it('has the keys and shapes of the released checkpoint', async () => {
    const device = await Device.create({ adapter: 'meta' });
    const state = new Paella(PAELLA_V3, { device }).stateDict();
    const ours = state.keys().map((key) => `${key} (${state.info(key).shape.join(', ')})`);
    const theirs = (await text('paella-v3-keys.txt')).trim().split('\n');
    expect(ours.sort()).toEqual(theirs.map((line) => line.replace(/,?\) float32$/, ')')).sort());
  });

  it('starts with logits of exactly zero when initialised', () =>
    scope(async () => {
      const device = await testDevice();
      const config = await json<PaellaConfig>('paella-tiny.json');
      const unet = new Paella(config, { device, rng: new Rng(1) });
      const rng = new Rng(2);
      const tokens = rng.randint(device, 0, config.num_labels, [1, 8, 8]);
      const byt5 = rng.normal(device, [1, 3, config.byt5_embd]);
      const logits = await unet.forward(tokens, 0.5, { byt5 }).data();
      expect(logits.every((value) => value === 0)).toBe(true);
      unet.dispose();
    }));

  it('says what is wrong with a checkpoint that does not fit, all at once', async () => {
    const device = await testDevice();
    const config = await json<PaellaConfig>('paella-tiny.json');
    const unet = new Paella({ ...config, byt5_embd: 21, blocks: [1, 3, 1] }, { device });
    const loading = unet.loadStateDict(await checkpoint('paella-tiny.pt'));
    await expect(loading).rejects.toMatchObject({ code: 'state-dict' });
    await expect(loading).rejects.toThrow(
      /missing: down_blocks.1.7.*byt5_mapper.weight \(expected \[24,21\], got \[24,20\]\)/,
    );
  });

  it('refuses tokens that do not divide', async () => {
    const device = await Device.create({ adapter: 'meta' });
    const unet = new Paella(await json<PaellaConfig>('paella-tiny.json'), { device });
    const byt5 = device.empty([1, 2, 20]);
    expect(() => unet.forward(device.empty([1, 12, 16], 'u32'), 1, { byt5 })).toThrow(/multiples of 8/);
  });
});

describe('VQModel against PyTorch', () => {
  it('encodes and decodes', () =>
    scope(async () => {
      const device = await testDevice();
      const vqgan = new VQModel(await json<VQModelConfig>('vqmodel-tiny.json'), { device });
      await vqgan.loadStateDict(await checkpoint('vqmodel-tiny.pt'));
      const golden = await checkpoint('vqmodel-tiny.golden.safetensors');
      const encoded = vqgan.encode(await imageInput(device, golden, 'image'));
      await expectGolden(encoded.latent, golden, 'latent');
      await expectGolden(encoded.quantized, golden, 'quantized');
      expect(Array.from(await encoded.indices.data())).toEqual(Array.from(await floats(golden, 'indices')));
      await expectGolden(encoded.loss.reshape([1]), golden, 'vq_loss');
      await expectGolden(vqgan.decode(encoded.quantized), golden, 'decoded');
      await expectGolden(vqgan.decodeIndices(encoded.indices), golden, 'decoded_indices');
      vqgan.dispose();
    }));

  it("loads diffusers' name of the codebook", async () => {
    const device = await testDevice();
    const vqgan = new VQModel(await json<VQModelConfig>('vqmodel-tiny.json'), { device });
    const file = await checkpoint('vqmodel-tiny.pt');
    const [ours, theirs] = ['vquantizer.codebook.weight', 'vquantizer.embedding.weight'];
    const stored = (key: string) => (key === theirs ? ours : key);
    await vqgan.loadStateDict({
      keys: () => file.keys().map((key) => (key === ours ? theirs : key)),
      info: (key) => file.info(stored(key)),
      get: (key) => file.get(stored(key)),
    });
    expect(await vqgan.stateDict().get(ours)).toEqual(await file.get(ours));
    vqgan.dispose();
  });

  it('gives its weights back as it got them', () =>
    scope(async () => {
      const device = await testDevice();
      const vqgan = new VQModel(await json<VQModelConfig>('vqmodel-tiny.json'), { device });
      const file = await checkpoint('vqmodel-tiny.pt');
      await vqgan.loadStateDict(file);
      const state = vqgan.stateDict();
      expect(state.keys().sort()).toEqual(file.keys().sort());
      for (const key of file.keys()) expect(await state.get(key), key).toEqual(await file.get(key));
      vqgan.dispose();
    }));
});

describe('ByT5 against transformers', () => {
  it('tokenises and encodes', () =>
    scope(async () => {
      const device = await testDevice();
      const encoder = new ByT5Encoder(await json<ByT5Config>('byt5-tiny.config.json'), { device });
      await encoder.loadStateDict(await checkpoint('byt5-tiny.safetensors'));
      const golden = await checkpoint('byt5-tiny.golden.safetensors');
      for (const [i, string] of (await json<string[]>('byt5-tiny.strings.json')).entries()) {
        const ids = byt5Tokenize(string);
        expect(Array.from(ids)).toEqual(Array.from(await floats(golden, `${i}/ids`)));
        await expectGolden(encoder.encode(string), golden, `${i}/last_hidden_state`);
      }
      const ids = await input(device, golden, 'batch/ids');
      await expectGolden(encoder.forward(ids), golden, 'batch/last_hidden_state_no_mask');
      const mask = Array.from(await ids.data(), (id) => (id === 0 ? 0 : 1));
      await expectGolden(encoder.forward(ids, mask), golden, 'batch/last_hidden_state_masked');
      encoder.dispose();
    }));

  it('knows the special tokens as Hugging Face does', () => {
    // Ids printed by transformers' ByT5Tokenizer.
    expect([...byt5Tokenize('hello world')]).toEqual([
      107, 104, 111, 111, 114, 35, 122, 114, 117, 111, 103, 1,
    ]);
    expect([...byt5Tokenize('')]).toEqual([1]);
    expect([...byt5Tokenize('x</s>y<pad><unk>')]).toEqual([123, 1, 124, 0, 2, 1]);
    expect([...byt5Tokenize(' a  </s> b')]).toEqual([35, 100, 1, 101, 1]);
    expect([...byt5Tokenize('a<extra_id_124> b')]).toEqual([100, 383, 35, 101, 1]);
    expect([...byt5Tokenize('<extra_id_200>')].slice(0, 3)).toEqual([63, 104, 123]);
    const long = byt5Tokenize('x'.repeat(2000));
    expect([long.length, long[767]]).toEqual([768, 1]);
  });
});
