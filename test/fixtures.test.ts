import { describe, expect, it } from 'vitest';
import { readFixture, saveOutput } from './fixtures.js';

describe('fixtures', () => {
  it('reads a file of the repository', async () => {
    const text = new TextDecoder().decode(await readFixture('LICENSE'));
    expect(text).toMatch(/^MIT License/);
  });

  it('says which file is missing', async () => {
    await expect(readFixture('test/nothing.bin')).rejects.toThrow(/test\/nothing\.bin/);
  });

  it('keeps bytes as they are', async () => {
    const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => (i * 31) & 255);
    const path = await saveOutput('fixture-round-trip.bin', bytes);
    const name = path.replace(/^.*[\\/]/, '');
    expect(new Uint8Array(await readFixture(`test-output/${name}`))).toEqual(bytes);
  });
});
