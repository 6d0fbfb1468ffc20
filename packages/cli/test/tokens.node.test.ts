import { Device, type PaellaError, Rng } from '@paella/tensor';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VQModel, latentsOf } from 'paella';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { localGroups } from '../../../test/local-group.js';
import type { Context } from '../src/context.js';
import { tarOf } from '../src/data/tar.js';
import { loadTokens } from '../src/train/tokens.js';

const root = mkdtempSync(join(tmpdir(), 'paella-tokens-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('loadTokens', () => {
  const pictures = 300;
  const [folder, shards] = [join(root, 'folder'), join(root, 'shards')];
  let vqgan: VQModel;
  let made = 0;

  beforeAll(async () => {
    const device = await Device.create();
    const sizes = { levels: 2, bottleneck_blocks: 1, c_hidden: 8, c_latent: 4, codebook_size: 32 };
    const rng = new Rng(1);
    vqgan = new VQModel({ ...sizes, scale_factor: 1 }, { device, rng });
    using latents = latentsOf(vqgan, rng.uniform(device, [8, 8, 8, 3]));
    vqgan.vquantizer.codebook.weight.load(await latents.data());
    mkdirSync(folder);
    mkdirSync(shards);
    const members: [string, Uint8Array][] = [];
    for (let i = 0; i < pictures; i++) {
      const data = Uint8Array.from({ length: 8 * 8 * 3 }, (_, at) => (i * 37 + at * (i % 11)) % 256);
      const png = await sharp(data, { raw: { width: 8, height: 8, channels: 3 } })
        .png()
        .toBuffer();
      const name = `p${String(i).padStart(3, '0')}`;
      const json = { caption: `number ${i}`, weight: i % 5 ? 1 : 0.3, split: i % 10 ? 'train' : 'test' };
      members.push([`${name}.png`, i === 151 ? Buffer.from('no picture') : png]);
      members.push([`${name}.json`, Buffer.from(JSON.stringify(json))]);
    }
    for (const [name, body] of members) writeFileSync(join(folder, name), body);
    for (const [i, end] of [100, 420, 440, 600].entries()) {
      const start = [0, 100, 420, 440][i];
      writeFileSync(join(shards, `s-${i}.tar`), await tarOf(members.slice(start, end)));
    }
  });
  afterAll(() => vqgan.device.destroy());

  /** What the processes of a group get, or why they don't, and what they say. */
  async function load(
    sources: readonly string[],
    { split = 'train', file = join(root, `tokens-${made++}.safetensors`), stopped = -1 } = {},
  ) {
    const notes: string[] = [];
    const calls = localGroups(sources.length).map((group) => {
      const controller = new AbortController();
      const context: Context = {
        out: {
          note: (line) => notes.push(line),
          progress: () => group.rank === stopped && controller.abort(),
          result() {},
          clear() {},
          failure: () => 1,
        },
        signal: controller.signal,
        stopOn() {},
        checkInterrupt() {},
        openDevice: async () => vqgan.device,
      };
      const own = group.rank === 0 ? file : null;
      const options = { size: 8, seed: 1, split };
      return loadTokens(own, sources[group.rank], options, vqgan, 'this one', context, group);
    });
    const results = await Promise.allSettled(calls);
    const sets = results.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const errors = results.flatMap((one) => (one.status === 'rejected' ? [one.reason as PaellaError] : []));
    return { file, notes, sets, errors };
  }

  it.each([
    ['folder', folder],
    ['shards', shards],
  ])('gives the same set, whatever the number of processes: %s', async (_, source) => {
    const one = await load([source]);
    const [set] = one.sets;
    const numbers = Array.from({ length: pictures }, (_number, i) => i).filter((i) => i % 10 && i !== 151);
    expect(set.captions).toEqual(numbers.map((i) => [`number ${i}`]));
    expect(set.weights).toEqual(Float32Array.from(numbers, (i) => (i % 5 ? 1 : 0.3)));
    expect(set.grid).toEqual([2, 2]);
    expect(set.tokens).toHaveLength(4 * numbers.length);
    expect(new Set(set.tokens).size).toBeGreaterThan(8);
    expect(one.notes).toEqual([expect.stringMatching(/^1 pictures could not be read: .*p151/)]);
    for (const size of [2, 3, 5]) {
      const many = await load(Array.from({ length: size }, () => source));
      expect(many.sets).toEqual(Array.from({ length: size }, () => set));
      expect(many.notes[0]).toBe(one.notes[0]);
      expect(readFileSync(many.file)).toEqual(readFileSync(one.file));
      const again = await load(['nowhere', 'nowhere'], { file: many.file });
      expect(again.sets).toEqual([set, set]);
    }
  });

  it('fails in all processes, and writes nothing', async () => {
    const part = join(root, 'part');
    mkdirSync(part);
    for (const name of readdirSync(folder).slice(2)) cpSync(join(folder, name), join(part, name));
    for (const [code, message, { file, errors }] of [
      ['format', /no usable pictures of the split 'val'/, await load([folder, folder], { split: 'val' })],
      ['argument', /data\.pictures is 300 in rank 0, and 299 in rank 1/, await load([folder, part])],
      ['aborted', /stopped/, await load([shards, shards], { stopped: 1 })],
    ] as const) {
      expect(errors).toHaveLength(2);
      for (const error of errors) {
        expect(error).toMatchObject({ code });
        expect(error.message).toMatch(message);
      }
      expect(existsSync(file)).toBe(false);
    }
  });
});
