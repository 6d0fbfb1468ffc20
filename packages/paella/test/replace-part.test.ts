import { Device, type NamedTensor, type nn, loadStateDict, safetensorsBlob } from '@paella/tensor';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  BYT5_XL,
  ByT5Encoder,
  CLIP,
  ImageEncoder,
  type Model,
  Paella,
  Pipeline,
  PriorModel,
  VQModel,
  openModel,
  openModelFolder,
  replacePart,
} from '../src/index.js';
import { pyDense, torchZip } from '../../tensor/test/io-files.js';
import { readFixture } from '../../../test/fixtures.js';
import { testDevice } from './helpers.js';

/** The embedded model, and a device on which its networks have only shapes. */
let model: Model;
let meta: Device;
beforeAll(async () => {
  model = await openModel('default');
  meta = await Device.create({ adapter: 'meta' });
});

const embedded = async (name: string): Promise<File> =>
  new File([await readFixture(`packages/paella/models/default/${name}`)], name);

/** The same weights as `torch.save` writes them, all as floats. */
async function asTorch(file: File): Promise<File> {
  const state = await loadStateDict(file);
  const entries = await Promise.all(
    state.keys().map(async (key, i) => {
      const { shape, data } = await state.get(key);
      return { key, storage: `s${i}`, shape, data: Float32Array.from(data as ArrayLike<number>, Number) };
    }),
  );
  const tensors = new Map(entries.map(({ key, storage, shape }) => [key, pyDense(storage, shape)]));
  const bytes = torchZip(
    new Map<string, unknown>([
      ['state_dict', tensors],
      ['iter', 7],
    ]),
    Object.fromEntries(entries.map(({ storage, data }) => [storage, data])),
  );
  return new File([bytes], file.name.replace(/\w+$/, 'pt'));
}

/** A checkpoint of zeros that a module would load. */
const blank = (module: nn.Module, leaveOut?: string): Promise<Blob> =>
  safetensorsBlob(
    module.namedParameters().flatMap(([name, { shape, size }]): [string, NamedTensor][] => {
      return name === leaveOut ? [] : [[name, { shape, data: new Float32Array(size) }]];
    }),
  );

const unetConfig = () => model.unet.build(meta).config;
const vqganConfig = () => model.vqgan.build(meta).config;
const small = { c_hidden: [16, 16], blocks: [1, 1] };
const unet = (change: Partial<Paella['config']>) =>
  blank(new Paella({ ...unetConfig(), ...small, ...change }, { device: meta }));
const vqgan = (change: Partial<VQModel['config']>) =>
  blank(new VQModel({ ...vqganConfig(), ...change }, { device: meta }));

describe('replacePart', () => {
  it("takes the embedded model's own files, and draws the same with them", async () => {
    const device = await testDevice();
    const draw = async (drawing: Model) => {
      using pipeline = await Pipeline.load(drawing, { device });
      return (await pipeline.generate('tree', { seed: 2, steps: 3 })).tokens;
    };
    const files = await Promise.all(
      ['unet', 'vqgan', 'image-encoder'].map((name) => embedded(`${name}.safetensors`)),
    );
    files[1] = await asTorch(files[1]);
    let replaced = model;
    for (const file of files) replaced = await replacePart(replaced, file);
    expect(replaced.name).toMatch(/with unet\.safetensors with vqgan\.pt with image-encoder/);
    for (const key of ['unet', 'vqgan', 'imageEncoder'] as const) {
      expect(replaced[key]).not.toBe(model[key]);
      expect(replaced[key]?.build(meta)).toMatchObject({ config: model[key]?.build(meta).config });
    }
    const { name: _, unet: __, vqgan: ___, imageEncoder: ____, ...others } = model;
    expect(replaced).toMatchObject(others);
    expect(await draw(replaced)).toEqual(await draw(model));
  });

  it('adapts the model to what the part brings', async () => {
    const deeper = await replacePart(model, await vqgan({ levels: 3 }));
    expect(deeper).toMatchObject({ factor: 8, imageSize: [128, 128] });
    const taller = await replacePart(
      model,
      await unet({
        c_hidden: [16, 16, 16, 16],
        nhead: [-1, 8, 8, 8],
        blocks: [1, 1, 1, 1],
        level_config: ['CT', 'CTA', 'CTA', 'CTA'],
        clip_seq_len: 3,
      }),
    );
    expect(taller).toMatchObject({ tokenMultiple: 16, clipTokens: 3, imageSize: [64, 64] });
    const config = { ...BYT5_XL, d_model: 100, d_ff: 8, d_kv: 4, num_layers: 1, num_heads: 2 };
    const reader = await replacePart(model, await blank(new ByT5Encoder(config, { device: meta })));
    expect(reader.text.kind).toBe('byt5');
    const part = reader.text.kind === 'byt5' ? reader.text.part : undefined;
    expect(part?.build(meta).config).toMatchObject(config);
  });

  it('says why a part does not fit', async () => {
    const device = meta;
    const { card } = await openModelFolder('default');
    const images = { ...card.image_encoder!.config, embed_dim: 32 };
    const clip = {
      embed_dim: 64,
      text_cfg: { context_length: 8, vocab_size: 9, width: 16, heads: 2, layers: 1 },
      vision_cfg: null,
    };
    const prior = { clip_r: 64, c_hidden: 16, c_r: 8, num_blocks: 2 };
    const byt5 = { ...BYT5_XL, d_model: 24, d_ff: 8, d_kv: 4, num_layers: 1, num_heads: 2 };
    const misfits: [Blob, RegExp][] = [
      [await unet({ num_labels: 48 }), /^the file is a U-Net for 48 tokens, but the model's VQGAN has 1024/],
      [
        await unet({ byt5_embd: 24 }),
        /texts as vectors of 24 numbers, but the model's text encoder gives 100/,
      ],
      [await unet({ clip_embd: 24 }), /pictures as vectors of 24 .* image encoder gives 64/],
      [await vqgan({ codebook_size: 512 }), /VQGAN of 512 tokens, but the model's U-Net draws with 1024/],
      [await blank(new ImageEncoder(images, { device })), /vectors of 32 .* U-Net reads 64/],
      [await blank(new ByT5Encoder(byt5, { device })), /vectors of 24 numbers, .* U-Net reads 100/],
      [await blank(new PriorModel(prior, { device })), /a prior, .* CLIP is missing/],
      [await blank(new CLIP(clip, { device })), /a CLIP, which is more than one file/],
    ];
    for (const [file, message] of misfits) {
      await expect(replacePart(model, file)).rejects.toMatchObject({ code: 'argument', message });
    }
  });

  it('refuses what is no network, and half of one', async () => {
    const words = replacePart(model, await embedded('words.safetensors'));
    await expect(words).rejects.toMatchObject({
      code: 'format',
      message: /words\.safetensors holds no network/,
    });
    const text = replacePart(model, new File(['hello'], 'hello.txt'));
    await expect(text).rejects.toMatchObject({ code: 'format', message: /hello\.txt: it is neither/ });
    const half = replacePart(
      model,
      await blank(new VQModel(vqganConfig(), { device: meta }), 'out_block.0.bias'),
    );
    await expect(half).rejects.toMatchObject({ code: 'state-dict', message: /missing out_block\.0\.bias/ });
  });
});
