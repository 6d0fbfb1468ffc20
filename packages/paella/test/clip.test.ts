import { Device, type NamedTensor, Rng, type StateDict, scope, stateDictOf } from '@paella/tensor';
import { describe, expect, it } from 'vitest';
import { CLIP, CLIP_VIT_H_14, type CLIPConfig, type RgbaImage, preprocessClip } from '../src/index.js';
import { checkpoint, expectGolden, floats, imageInput, sub, testDevice } from './helpers.js';

const TINY: CLIPConfig = {
  embed_dim: 12,
  text_cfg: { context_length: 8, vocab_size: 40, width: 16, heads: 2, layers: 2 },
  vision_cfg: { image_size: 28, patch_size: 7, width: 16, head_width: 8, layers: 2 },
};

/** The rows of the golden ids. */
async function goldenIds(golden: StateDict): Promise<Float32Array[]> {
  const ids = await floats(golden, 'ids');
  return [ids.slice(0, 8), ids.slice(8)];
}

describe('CLIP against open_clip', () => {
  it('encodes texts and pictures', () =>
    scope(async () => {
      const device = await testDevice();
      const golden = await checkpoint('clip-tiny.golden.safetensors');
      const clip = new CLIP(TINY, { device });
      await clip.loadStateDict(sub(golden, 'state/'));
      await expectGolden(clip.encodeText(await goldenIds(golden)), golden, 'text_embed');
      await expectGolden(clip.encodeImage(await imageInput(device, golden, 'pixels')), golden, 'image_embed');
      clip.dispose();
    }));

  it('loads one tower without reading the other', () =>
    scope(async () => {
      const device = await testDevice();
      const golden = await checkpoint('clip-tiny.golden.safetensors');
      const state = sub(golden, 'state/');
      const read: string[] = [];
      const watched: StateDict = {
        ...state,
        get: (key) => {
          read.push(key);
          return state.get(key);
        },
      };
      const text = new CLIP({ ...TINY, vision_cfg: null }, { device });
      await text.loadStateDict(watched);
      expect(read).toHaveLength(29);
      expect(read.filter((key) => key.startsWith('visual.') || key === 'logit_scale')).toEqual([]);
      await expectGolden(text.encodeText(await goldenIds(golden)), golden, 'text_embed');
      read.length = 0;
      const image = new CLIP({ ...TINY, text_cfg: null }, { device });
      await image.loadStateDict(watched);
      expect(read.every((key) => key.startsWith('visual.'))).toBe(true);
      await expectGolden(
        image.encodeImage(await imageInput(device, golden, 'pixels')),
        golden,
        'image_embed',
      );
      expect(() => image.encodeText([[1]])).toThrow(/without its text tower/);
      expect(() => text.encodeImage(device.zeros([1, 28, 28, 3]))).toThrow(/without its image tower/);
      text.dispose();
      image.dispose();
    }));

  it("loads a checkpoint in Hugging Face's names", () =>
    scope(async () => {
      const device = await testDevice();
      const golden = await checkpoint('clip-tiny.golden.safetensors');
      const clip = new CLIP(TINY, { device });
      await clip.loadStateDict(await asHuggingFace(sub(golden, 'state/')));
      await expectGolden(clip.encodeText(await goldenIds(golden)), golden, 'text_embed');
      await expectGolden(clip.encodeImage(await imageInput(device, golden, 'pixels')), golden, 'image_embed');
      clip.dispose();
    }));

  it('gives a text the same vector beside others, padded, and alone', () =>
    scope(async () => {
      const device = await testDevice();
      const clip = new CLIP(TINY, { device, rng: new Rng(1) });
      const [short, long] = [
        [38, 5, 39],
        [38, 1, 2, 3, 4, 5, 6, 39],
      ];
      const both = await clip.encodeText([short, long]).data();
      const alone = await clip.encodeText([short]).data();
      const padded = await clip.encodeText([[...short, 0, 0]]).data();
      for (let i = 0; i < 12; i++) {
        expect(alone[i]).toBeCloseTo(both[i], 5);
        expect(padded[i]).toBe(alone[i]);
      }
      clip.dispose();
    }));

  it('has the 686 keys of ViT-H-14, in their shapes', async () => {
    const device = await Device.create({ adapter: 'meta' });
    const state = new CLIP(CLIP_VIT_H_14, { device }).stateDict();
    const shapes = Object.fromEntries(state.keys().map((key) => [key, state.info(key).shape]));
    expect(Object.keys(shapes)).toHaveLength(686);
    const count = Object.values(shapes).reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
    expect(count).toBe(986_109_441);
    expect(shapes).toMatchObject({
      'token_embedding.weight': [49408, 1024],
      positional_embedding: [77, 1024],
      'transformer.resblocks.23.attn.in_proj_weight': [3072, 1024],
      'transformer.resblocks.23.mlp.c_proj.weight': [1024, 4096],
      text_projection: [1024, 1024],
      logit_scale: [],
      'visual.conv1.weight': [1280, 3, 14, 14],
      'visual.class_embedding': [1280],
      'visual.positional_embedding': [257, 1280],
      'visual.transformer.resblocks.31.mlp.c_fc.weight': [5120, 1280],
      'visual.proj': [1280, 1024],
    });
  });

  it('says what is wrong with texts, pictures and configurations', async () => {
    const device = await Device.create({ adapter: 'meta' });
    const clip = new CLIP(TINY, { device });
    expect(() => clip.encodeText([[]])).toThrow(/1 to 8 tokens, got 0/);
    expect(() => clip.encodeText([new Array<number>(9).fill(1)])).toThrow(/1 to 8 tokens, got 9/);
    expect(() => clip.encodeImage(device.zeros([1, 32, 28, 3]))).toThrow(/\[B,28,28,3\]/);
    expect(() => new CLIP({ ...TINY, text_cfg: null, vision_cfg: null }, { device })).toThrow(/both null/);
    expect(() => new CLIP({ ...TINY, text_cfg: { ...TINY.text_cfg!, heads: 3 } }, { device })).toThrow(
      /16 channels among 3 heads/,
    );
  });
});

describe('preprocessClip', () => {
  it('scales and normalises as PyTorch', () =>
    scope(async () => {
      const device = await testDevice();
      const golden = await checkpoint('clip-preprocess.golden.safetensors');
      for (const name of ['reduced', 'enlarged']) {
        const [, side] = golden.info(`${name}/image`).shape;
        const image = opaque(side, side, await floats(golden, `${name}/image`));
        await expectGolden(preprocessClip(device, [image], 28), golden, `${name}/pixels`);
      }
    }));

  it('takes the middle of pictures of any size', () =>
    scope(async () => {
      const device = await testDevice();
      // Red left and right of grey, and blue above and below; averaging reaches a little over the square.
      const wide = opaque(80, 40, (x) => (x < 18 || x >= 62 ? [255, 0, 0] : [128, 128, 128]));
      const high = opaque(10, 90, (_, y) => (y < 40 || y >= 50 ? [0, 0, 255] : [128, 128, 128]));
      const pixels = await preprocessClip(device, [wide, high], 28).data();
      expect(pixels).toHaveLength(2 * 28 * 28 * 3);
      const grey = [0.48145466, 0.4578275, 0.40821073].map(
        (mean, c) => (128 / 255 - mean) / [0.26862954, 0.26130258, 0.27577711][c],
      );
      for (let i = 0; i < pixels.length; i++) expect(pixels[i]).toBeCloseTo(grey[i % 3], 4);
      expect(() => preprocessClip(device, [])).toThrow(/got none/);
    }));
});

/** A picture of RGB values, or of a function of the position. */
function opaque(
  width: number,
  height: number,
  colours: ArrayLike<number> | ((x: number, y: number) => readonly number[]),
): RgbaImage {
  const data = new Uint8ClampedArray(width * height * 4).fill(255);
  for (let i = 0; i < width * height; i++) {
    const rgb =
      typeof colours === 'function'
        ? colours(i % width, Math.floor(i / width))
        : [0, 1, 2].map((c) => colours[i * 3 + c]);
    data.set(rgb, i * 4);
  }
  return { width, height, data };
}

/** The state dict as transformers' `CLIPModel` has it: other names, q, k and v apart, projections transposed. */
async function asHuggingFace(state: StateDict): Promise<StateDict> {
  const tensors: [string, NamedTensor][] = [
    ['text_model.embeddings.position_ids', { shape: [1, 8], data: new Float32Array(8) }],
  ];
  for (const key of state.keys()) {
    const { shape } = state.info(key);
    const data = await floats(state, key);
    const tower = key.startsWith('visual.') ? 'vision_model' : 'text_model';
    const name = key
      .replace(/^(visual\.)?transformer\.resblocks\./, `${tower}.encoder.layers.`)
      .replace('.attn.', '.self_attn.')
      .replace(/\.ln_([12])\./, '.layer_norm$1.')
      .replace('.mlp.c_fc.', '.mlp.fc1.')
      .replace('.mlp.c_proj.', '.mlp.fc2.')
      .replace(/^token_embedding/, 'text_model.embeddings.token_embedding')
      .replace(/^(visual\.)?positional_embedding$/, `${tower}.embeddings.position_embedding.weight`)
      .replace(/^ln_final/, 'text_model.final_layer_norm')
      .replace('visual.class_embedding', 'vision_model.embeddings.class_embedding')
      .replace('visual.conv1', 'vision_model.embeddings.patch_embedding')
      .replace('visual.ln_pre', 'vision_model.pre_layrnorm')
      .replace('visual.ln_post', 'vision_model.post_layernorm')
      .replace(/^text_projection$/, 'text_projection.weight')
      .replace(/^visual\.proj$/, 'visual_projection.weight');
    const packed = /^(.*)\.in_proj_(weight|bias)$/.exec(name);
    if (packed) {
      const third = data.length / 3;
      // In the order in which PyTorch lists them.
      for (const [part, at] of [
        ['k', 1],
        ['v', 2],
        ['q', 0],
      ] as const) {
        const own = {
          shape: [shape[0] / 3, ...shape.slice(1)],
          data: data.slice(at * third, (at + 1) * third),
        };
        tensors.push([`${packed[1]}.${part}_proj.${packed[2]}`, own]);
      }
    } else if (name.endsWith('projection.weight')) {
      const [rows, columns] = shape;
      const turned = data.map((_, i) => data[(i % rows) * columns + Math.floor(i / rows)]);
      tensors.push([name, { shape: [columns, rows], data: turned }]);
    } else {
      tensors.push([name, { shape, data }]);
    }
  }
  return stateDictOf(tensors);
}
