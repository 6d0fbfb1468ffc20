import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type IncomingMessage, createServer, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../../', import.meta.url));

type Serving = ChildProcessByStdio<null, Readable, null>;

/** Starts the built command. */
function paellaServe(...args: string[]): Serving {
  const command = [join(root, 'packages/cli/dist/main.js'), 'serve', ...args, '--quiet'];
  return spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'inherit'] });
}

/** The address that it prints as the first thing. */
async function urlOf(child: Serving): Promise<string> {
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return line.toString().trim();
}

async function stop(child: Serving): Promise<number | null> {
  child.kill('SIGINT');
  const [code] = (await once(child, 'close')) as [number | null];
  return code;
}

describe('paella serve', () => {
  let child: Serving;
  let url: string;

  beforeAll(async () => {
    for (const script of ['scripts/build.mjs', 'web/build.mjs']) {
      execFileSync(process.execPath, [join(root, script)]);
    }
    child = paellaServe('--port', '0');
    url = await urlOf(child);
  });

  afterAll(() => void child.kill());

  it('serves the page: assets for good, the rest asked for again each time', async () => {
    const page = await fetch(url);
    expect(page.headers.get('content-type')).toMatch(/^text\/html/);
    expect(page.headers.get('cache-control')).toBe('no-cache');
    const again = await fetch(url, { headers: { 'If-None-Match': page.headers.get('etag')! } });
    expect(again.status).toBe(304);

    const [, script] = /src="(\.\/assets\/[^"]+\.js)"/.exec(await page.text())!;
    const { status, headers } = await fetch(new URL(script, url));
    expect(status).toBe(200);
    expect(headers.get('content-type')).toBe('text/javascript');
    expect(headers.get('cache-control')).toContain('immutable');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
  });

  it("serves the library's embedded model, also in parts", async () => {
    const card = new URL('models/default/model.json', url);
    expect(await (await fetch(card)).json()).toMatchObject({ format: 'paella-model/1' });
    const part = await fetch(card, { headers: { Range: 'bytes=5-9' } });
    expect([part.status, await part.text()]).toEqual([206, 'forma']);
    const weights = await fetch(new URL('models/default/unet.safetensors', url), { method: 'HEAD' });
    expect(Number(weights.headers.get('content-length'))).toBeGreaterThan(1e6);
    expect(await weights.text()).toBe('');
  });

  it('answers nothing else', async () => {
    expect((await fetch(url, { method: 'POST' })).status).toBe(405);
    const outside = [
      '/../package.json',
      '/..%2fpackage.json',
      '/%2e%2e/package.json',
      '/models/../../package.json',
    ];
    for (const path of outside) {
      const { hostname, port } = new URL(url); // fetch would clean the path up
      const [response] = (await once(request({ hostname, port, path }).end(), 'response')) as [
        IncomingMessage,
      ];
      expect(response.statusCode, path).toBe(404);
      response.resume();
    }
  });

  it('refuses a port that is in use, and without one takes another', async () => {
    const taken = new URL(url).port;
    const second = paellaServe('--port', taken, '--json');
    expect(JSON.parse(await text(second.stdout))).toMatchObject({
      error: {
        code: 'argument',
        message: expect.stringContaining(`port ${taken} is in use`),
        fix: expect.any(String),
      },
    });
    expect(second.exitCode ?? (await once(second, 'close'))[0]).toBe(2);

    const usual = createServer().listen(8080, '127.0.0.1');
    await Promise.race([once(usual, 'listening'), once(usual, 'error')]).catch(() => {}); // in use all the same
    const third = paellaServe();
    expect(new URL(await urlOf(third)).port).not.toBe('8080');
    await stop(third);
    usual.close();
  });

  it('shows a model of your own in the place of the embedded one', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'paella-serve-'));
    await writeFile(join(folder, 'model.json'), '{ "name": "mine" }');
    const other = paellaServe('--port', '0', '--model', folder);
    const card = await fetch(new URL('models/default/model.json', await urlOf(other)));
    expect(await card.json()).toEqual({ name: 'mine' });
    other.kill();
    await rm(folder, { recursive: true });
  });

  it.skipIf(process.platform === 'win32')(
    'prints one JSON object, and ends with Ctrl-C (Windows has no SIGINT to send)',
    async () => {
      const other = paellaServe('--port', '0', '--json');
      const printed = await urlOf(other);
      const open = await fetch((JSON.parse(printed) as { url: string }).url); // keeps its connection alive
      expect(open.ok).toBe(true);
      expect(await stop(other)).toBe(130);
    },
  );
});
