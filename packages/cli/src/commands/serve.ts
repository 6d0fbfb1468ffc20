import { PaellaError } from '@paella/tensor';
import { once } from 'node:events';
import { type RequestListener, type Server, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sirv from 'sirv';
import type { CommonOptions, Context } from '../context.js';

export interface ServeOptions extends CommonOptions {
  host: string;
  /** Without one, 8080 or any that is free. */
  port?: number;
  /** A model folder that takes the embedded model's place. */
  model: string;
}

const usualPort = 8080;

/** `paella serve`: the studio on this machine, until Ctrl-C. */
export async function serve({ out, signal }: Context, { host, port, model }: ServeOptions): Promise<void> {
  const server = createServer(studio(pageFolder(), model === 'default' ? undefined : modelFolder(model)));
  await listen(server, host, port);
  const url = urlOf(server.address() as AddressInfo);
  out.result({ url }, [url]);
  if (!isLocal(host)) {
    out.note(
      'From other machines, browsers offer WebGPU over https only: put a proxy with a certificate before it.',
    );
  }
  if (!signal.aborted) await once(signal, 'abort');
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
}

/** The page as `@paella/web` has it, built. */
function pageFolder(): string {
  const folder = fileURLToPath(new URL('dist', import.meta.resolve('@paella/web/package.json')));
  if (existsSync(join(folder, 'index.html'))) return folder;
  throw new PaellaError('not-found', `the page is not built: ${folder} has no index.html`, {
    fix: 'Run: npm run build --workspace web',
  });
}

function modelFolder(folder: string): string {
  if (existsSync(join(folder, 'model.json'))) return folder;
  throw new PaellaError('not-found', `${folder} has no model.json`, {
    fix: "Name a folder that training made, or 'default'; the page takes other checkpoints by drag and drop",
  });
}

/**
 * Answers requests for the page and its model, and for nothing else.
 *
 * @param page the built page's folder
 * @param model what the page is to find as its embedded model; that of the library by default
 */
function studio(page: string, model?: string): RequestListener {
  const embedded = fileURLToPath(new URL('../models', import.meta.resolve('paella')));
  const mounts = [
    ...(model ? [{ at: '/models/default', files: folder(model) }] : []),
    { at: '/models', files: folder(embedded) },
    { at: '', files: folder(page) },
  ];
  return (request, response) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { Allow: 'GET, HEAD' }).end();
      return;
    }
    const { url = '/' } = request;
    const { at, files } = mounts.find((mount) => url.startsWith(`${mount.at}/`))!;
    request.url = url.slice(at.length);
    files(request, response);
  };
}

/** A folder's files as they are when they are asked for (`dev`), so that a page built anew is the one that is served. */
const folder = (path: string): RequestListener => sirv(path, { dev: true, etag: true, setHeaders });

/** A name in `assets/` holds a hash of its content; whatever has another name is asked for again each time. */
function setHeaders(response: ServerResponse, path: string): void {
  response.setHeader('X-Content-Type-Options', 'nosniff');
  if (path.startsWith('/assets/')) response.setHeader('Cache-Control', 'public, max-age=31536000, immutable');
  if (path.endsWith('.safetensors')) response.setHeader('Content-Type', 'application/octet-stream');
}

/**
 * Opens a port.
 *
 * @throws PaellaError `argument` if the port that was asked for is taken, or the address is none of this machine's
 */
async function listen(server: Server, host: string, port?: number): Promise<void> {
  try {
    server.listen(port ?? usualPort, host);
    await once(server, 'listening');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE' && port === undefined) return listen(server, host, 0);
    const isTaken = code === 'EADDRINUSE';
    throw new PaellaError(
      'argument',
      isTaken ? `port ${port} is in use` : `cannot listen on ${host}:${port ?? usualPort} (${code})`,
      {
        fix: isTaken
          ? 'Name another one, or none: then a free one is taken.'
          : 'Name another --host or --port.',
        cause,
      },
    );
  }
}

const isLocal = (host: string): boolean => /^(localhost|127\..*|::1)$/.test(host);

/** The address to open; where the server listens on all, the one that browsers count as secure. */
function urlOf({ address, family, port }: AddressInfo): string {
  if (address === '0.0.0.0' || address === '::') return `http://localhost:${port}/`;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}/`;
}
