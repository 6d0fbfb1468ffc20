import { saveSafetensors } from '@paella/tensor';
import { describe, expect, it } from 'vitest';
import { Pipeline, folderOfFiles, openModel } from '../src/index.js';
import { readFixture } from '../../../test/fixtures.js';
import { testDevice } from './helpers.js';

const embedded = async (file: string): Promise<[string, Blob]> => [
  file,
  new Blob([await readFixture(`packages/paella/models/default/${file}`)]),
];

/** Two shards of one tensor each, and their index, in a folder inside. */
async function sharded(): Promise<Map<string, Blob>> {
  const shard = async (name: string, value: number): Promise<Blob> => {
    const chunks: Uint8Array<ArrayBuffer>[] = [];
    const tensors = [[name, { shape: [1], data: Float32Array.of(value) }] as const];
    await saveSafetensors((chunk) => void chunks.push(chunk), tensors);
    return new Blob(chunks);
  };
  const index = { weight_map: { a: '1.safetensors', b: '2.safetensors' } };
  return new Map([
    ['inner/model.safetensors.index.json', new Blob([JSON.stringify(index)])],
    ['inner/1.safetensors', await shard('a', 1)],
    ['inner/2.safetensors', await shard('b', 2)],
  ]);
}

describe('a folder of files', () => {
  it('is a model like any other', async () => {
    const names = ['model.json', 'unet.safetensors', 'vqgan.safetensors', 'words.safetensors', 'vocab.txt'];
    const files = new Map(await Promise.all(names.map(embedded)));
    const device = await testDevice();
    const draw = async (where: Parameters<typeof Pipeline.load>[0]) => {
      using pipeline = await Pipeline.load(where, { device });
      return (await pipeline.generate('fish', { seed: 3, steps: 2 })).tokens;
    };
    expect(await draw(folderOfFiles(files))).toEqual(await draw('default'));
    // What has no file is missed when it is asked for, by its name.
    const { imageEncoder } = await openModel(folderOfFiles(files));
    await expect(imageEncoder?.state()).rejects.toMatchObject({
      code: 'not-found',
      message: /^there is no image-encoder\.safetensors among the 5 files given/,
    });
  });

  it('finds files and shards in folders inside', async () => {
    const files = await sharded();
    const folder = folderOfFiles(files).inside('inner');
    expect(await folder.find(['model.safetensors', 'model.safetensors.index.json'])).toMatch(/index/);
    const state = await folder.checkpoint('model.safetensors.index.json');
    expect(state.keys()).toEqual(['a', 'b']);
    expect(Array.from((await state.get('b')).data, Number)).toEqual([2]);
    files.delete('inner/2.safetensors');
    const missing = folder.checkpoint('model.safetensors.index.json');
    await expect(missing).rejects.toThrow('there is no inner/2.safetensors');
  });

  it('says what is wrong with a model.json, and where', async () => {
    const card = JSON.parse(await (await embedded('model.json'))[1].text()) as Record<string, object>;
    const refusal = (content: unknown): Promise<unknown> =>
      openModel(folderOfFiles(new Map([['model.json', new Blob([JSON.stringify(content)])]])));
    const wrong: [unknown, RegExp][] = [
      [[card], /model\.json: Expected object/],
      [{ ...card, nmae: 'x' }, /nmae: unknown key/],
      [{ ...card, unet: undefined }, /unet: .*"unet"/],
      [{ ...card, sampler: { ...card.sampler, steps: 0.5 } }, /sampler\.steps: .*0\.5/],
      [{ ...card, image_size: [64] }, /image_size\.1: Invalid type: Expected number/],
      [{ ...card, sha256: ['x'] }, /sha256: Expected object/],
      [{ ...card, sha256: { 'unet.safetensors': 'x' } }, /unet\.safetensors: Invalid format/],
    ];
    for (const [content, message] of wrong) {
      await expect(refusal(content)).rejects.toMatchObject({ code: 'format', message });
    }
  });

  it('calls files by their names', async () => {
    const folder = folderOfFiles(new Map([['sub/x.pt', new Blob(['nonsense'])]]));
    await expect(folder.checkpoint('sub/x.pt')).rejects.toThrow(/^the folder\/sub\/x\.pt: it is neither/);
    await expect(openModel(folder)).rejects.toThrow(/^the folder is no model folder/);
  });
});
