import { Device, inspectCheckpoint } from '@paella/tensor';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readFixture } from '../../../test/fixtures.js';
import { PAELLA_V3, Paella, VQGAN_F4, VQModel, identifyModel, type PaellaConfig } from '../src/index.js';

const golden = (name: string): Promise<ArrayBuffer> => readFixture(`packages/paella/test/golden/${name}`);
const json = async (name: string): Promise<Record<string, unknown>> =>
  JSON.parse(new TextDecoder().decode(await golden(name)));
const shape = (name: string, ...sides: number[]) => ({ name, shape: sides });

/** What shapes tell of a U-Net's configuration. */
const readable = (config: PaellaConfig): object => ({
  ...config,
  nhead: config.level_config.map((letters) => (letters.includes('A') ? null : -1)),
  dropout: null,
  self_attn: null,
});

describe('identifyModel', () => {
  it('reads the configurations of the golden checkpoints', async () => {
    const identify = async (file: string) =>
      identifyModel((await inspectCheckpoint(await golden(file))).tensors);

    const config = (await json('paella-tiny.json')) as unknown as PaellaConfig;
    expect(await identify('paella-tiny.pt')).toEqual({ kind: 'paella', config: readable(config) });
    expect(await identify('vqmodel-tiny.pt')).toEqual({
      kind: 'vqgan',
      config: { ...(await json('vqmodel-tiny.json')), scale_factor: null },
    });
    const { d_model, d_ff, d_kv, num_layers, num_heads, vocab_size, relative_attention_num_buckets } =
      await json('byt5-tiny.config.json');
    expect(await identify('byt5-tiny.safetensors')).toEqual({
      kind: 'byt5',
      config: {
        d_model,
        d_ff,
        d_kv,
        num_layers,
        num_heads,
        vocab_size,
        relative_attention_num_buckets,
        relative_attention_max_distance: null,
        layer_norm_epsilon: null,
      },
    });
  });

  it('reads the configuration of the released U-Net from its 844 names', async () => {
    const lines = new TextDecoder()
      .decode(await golden('paella-v3-keys.txt'))
      .trim()
      .split('\n');
    const tensors = lines.map((line) => {
      const [, name, sides] = /^(\S+) \(([^)]*)\)/.exec(line) ?? [];
      return shape(name, ...sides.split(',').filter(Boolean).map(Number));
    });
    expect(tensors).toHaveLength(844);
    expect(identifyModel(tensors)).toEqual({ kind: 'paella', config: readable(PAELLA_V3) });
  });

  it('reads back any U-Net configuration', async () => {
    const device = await Device.create({ adapter: 'meta' });
    const level = fc.record({
      // A unit that is no repetition of a shorter one: CTCT twice is the same network as CT four times.
      letters: fc.constantFrom('C', 'CT', 'CTA', 'CCT', 'CA', 'CTTA'),
      repeats: fc.integer({ min: 1, max: 4 }),
      width: fc.integer({ min: 1, max: 9 }),
    });
    const configs = fc.record({ levels: fc.array(level, { minLength: 1, maxLength: 4 }), c: fc.nat(9) });
    fc.assert(
      fc.property(configs, ({ levels, c }) => {
        const config: PaellaConfig = {
          c_in: 3 + c,
          c_out: 5 + c,
          num_labels: 7,
          c_r: 4,
          patch_size: 1 + (c % 3),
          c_cond: 6,
          clip_embd: 11,
          byt5_embd: 13,
          clip_seq_len: 2,
          kernel_size: 5,
          dropout: 0,
          self_attn: true,
          c_hidden: levels.map(({ width }) => width),
          nhead: levels.map(({ letters }) => (letters.includes('A') ? 1 : -1)),
          blocks: levels.map(({ repeats }) => repeats),
          level_config: levels.map(({ letters }) => letters),
        };
        const unet = new Paella(config, { device });
        const tensors = [...unet.namedParameters()].map(([name, one]) => shape(name, ...one.shape));
        unet.dispose();
        const { c_r } = levels.some(({ letters }) => letters.includes('T')) ? config : { c_r: null };
        expect(identifyModel(tensors).config).toEqual({ ...readable(config), c_r });
      }),
      { numRuns: 30 },
    );
  });

  it('knows a VQGAN by either of its codebook names', async () => {
    const device = await Device.create({ adapter: 'meta' });
    const vqgan = new VQModel(VQGAN_F4, { device });
    const tensors = [...vqgan.namedParameters()].map(([name, one]) => shape(name, ...one.shape));
    const renamed = tensors.map(({ name, ...rest }) => ({
      name: name.replace('vquantizer.codebook.', 'vquantizer.embedding.'),
      ...rest,
    }));
    const expected = { kind: 'vqgan', config: { ...VQGAN_F4, scale_factor: null } };
    expect(identifyModel(tensors)).toEqual(expected);
    expect(identifyModel(renamed)).toEqual(expected);
  });

  it('knows the prior and CLIP by their shapes', () => {
    const block = (i: number) => [
      shape(`blocks.${i}.0.weight`, 5120, 2368),
      shape(`blocks.${i}.3.weight`, 1280, 5120),
      shape(`blocks.${i}.4.weight`, 1280),
    ];
    const blocks = Array.from({ length: 48 }, (_, i) => block(i + 1)).flat();
    const prior = [shape('blocks.0.weight', 1280, 1024), ...blocks, shape('blocks.49.weight', 1024, 1280)];
    expect(identifyModel(prior)).toEqual({
      kind: 'prior',
      config: { clip_r: 1024, c_hidden: 1280, c_r: 64, num_blocks: 48 },
    });

    const text = [
      shape('token_embedding.weight', 49408, 1024),
      shape('positional_embedding', 77, 1024),
      shape('transformer.resblocks.0.ln_1.weight', 1024),
      shape('text_projection', 1024, 1024),
    ];
    const vision = [
      shape('visual.conv1.weight', 1280, 3, 14, 14),
      shape('visual.positional_embedding', 257, 1280),
      shape('visual.transformer.resblocks.0.ln_1.weight', 1280),
      shape('visual.proj', 1280, 1024),
    ];
    const text_cfg = { context_length: 77, vocab_size: 49408, width: 1024, layers: 1, heads: null };
    const vision_cfg = { image_size: 224, patch_size: 14, width: 1280, layers: 1, head_width: null };
    const embed_dim = 1024;
    expect(identifyModel([...text, ...vision]).config).toEqual({ embed_dim, text_cfg, vision_cfg });
    expect(identifyModel(text).config).toEqual({ embed_dim, text_cfg, vision_cfg: null });
  });

  it('says unknown of anything else, an ordinary T5 too', () => {
    expect(identifyModel([]).kind).toBe('unknown');
    expect(identifyModel([shape('fc.weight', 10, 10), shape('fc.bias', 10)]).kind).toBe('unknown');
    const t5 = [shape('shared.weight', 32128, 512), shape('encoder.final_layer_norm.weight', 512)];
    expect(identifyModel(t5).kind).toBe('unknown');
  });
});
