/// <reference types="node" />
/**
 * Notices when a process of a group is gone. MPI itself waits for ever for one that was stopped, or whose link was cut.
 *
 * Every process keeps a TCP connection to that of rank 0 and says something every two seconds. One that closes without
 * taking leave, or says nothing for ten beats, is lost; rank 0 tells the others.
 */
import { randomUUID } from 'node:crypto';
import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { PaellaError } from '../errors.js';

/** Milliseconds between two beats. */
const BEAT = 2000;
/** Silent beats after which a process is lost. They are counted, not timed: one's own sleep is nobody else's fault. */
const SILENT = 10;
/** Milliseconds that a connection may take. Whoever answers may be busy, and has until its silence is too long. */
const PATIENCE = 3000;

/** How rank 0 is reached. */
export interface Meeting {
  addresses: string[];
  port: number;
  /** Tells the processes of one group from strangers. */
  secret: string;
  host: string;
}

type Message =
  | { say: 'hello'; secret: string; rank: number; host: string }
  | { say: 'welcome' }
  | { say: 'beat' }
  | { say: 'bye' }
  | { say: 'lost'; reason: string };

/** Hears what is wrong, in words: `rank 1 (node7) died`. */
type OnLost = (reason: string) => void;

/** One end of a connection. */
class Line {
  readonly #socket: Socket;
  readonly #timer: NodeJS.Timeout;
  #silent = 0;
  #isOver = false;

  /** @param lost hears how the connection ended, unless the other end took leave */
  constructor(socket: Socket, heard: (message: Message | null) => void, lost: (how: string) => void) {
    this.#socket = socket;
    const end = (how: string): void => {
      if (this.#isOver) return;
      lost(how); // while the other end, if it only slept, can still be told
      this.close();
    };
    this.#timer = setInterval(() => {
      this.send({ say: 'beat' });
      if (++this.#silent > SILENT) end(`has said nothing for ${(SILENT * BEAT) / 1000} seconds`);
    }, BEAT);
    const lines = createInterface({ input: socket });
    lines.on('line', (text) => {
      this.#silent = 0;
      const message = parse(text);
      if (message?.say === 'bye') this.close();
      else if (message?.say !== 'beat') heard(message);
    });
    // 'close' comes after it. Node passes errors of a stream on to whoever reads its lines.
    for (const one of [socket, lines]) one.on('error', () => {});
    socket.on('close', () => end('is gone'));
  }

  send(message: Message, sent?: () => void): void {
    if (this.#isOver) sent?.();
    else this.#socket.write(`${JSON.stringify(message)}\n`, sent);
  }

  close(): void {
    this.#isOver = true;
    clearInterval(this.#timer);
    this.#socket.end();
  }
}

/** A process's view of the others. */
export class Watch {
  readonly #lines: Line[] = [];
  readonly #onLost: OnLost;
  #server: Server | null = null;
  #isOver = false;

  private constructor(onLost: OnLost) {
    this.#onLost = onLost;
  }

  /** Opens the place where rank 0 is met, as rank 0. */
  static async open(onLost: OnLost): Promise<{ watch: Watch; meeting: Meeting }> {
    const watch = new Watch(onLost);
    const secret = randomUUID();
    const server = createServer((socket) => watch.#receive(socket, secret));
    await new Promise<void>((resolve, reject) => server.on('error', reject).listen(0, resolve));
    server.unref();
    watch.#server = server;
    const { port } = server.address() as AddressInfo;
    return { watch, meeting: { addresses: ownAddresses(), port, secret, host: hostname() } };
  }

  /**
   * Joins rank 0.
   *
   * @throws PaellaError `unsupported` if none of its addresses answers
   */
  static async join(meeting: Meeting, rank: number, onLost: OnLost): Promise<Watch> {
    const watch = new Watch(onLost);
    const addresses = reachable(meeting);
    for (const address of addresses) if (await watch.#knock(address, meeting, rank)) return watch;
    throw new PaellaError(
      'unsupported',
      `rank ${rank} (${hostname()}) cannot reach rank 0 on ${meeting.host} over TCP`,
      {
        operands: { tried: addresses.map((address) => `${address}:${meeting.port}`).join(', ') },
        fix: 'Let the hosts of a run connect to each other: it is how the death of one is noticed.',
      },
    );
  }

  /** Tells everybody that the work cannot go on. Waits for that to be sent, but not for long. */
  async tell(reason: string): Promise<void> {
    this.#isOver = true;
    const sent = this.#lines.map(
      (line) => new Promise<void>((resolve) => line.send({ say: 'lost', reason }, resolve)),
    );
    await Promise.race([Promise.all(sent), sleep(500)]);
  }

  /** Takes leave: that the others go from now on means nothing. */
  close(): void {
    this.#isOver = true;
    for (const line of this.#lines) {
      line.send({ say: 'bye' });
      line.close();
    }
    this.#server?.close();
  }

  #receive(socket: Socket, secret: string): void {
    let name: string | null = null;
    const line = new Line(
      socket,
      (message) => {
        if (name !== null) return this.#heard(message);
        if (message?.say !== 'hello' || message.secret !== secret) return line.close();
        name = `rank ${message.rank} (${message.host})`;
        this.#lines.push(line);
        line.send({ say: 'welcome' });
      },
      (how) => {
        if (name !== null) this.#lost(`${name} ${how}`);
      },
    );
  }

  /** Asks at an address whether rank 0 is there. */
  #knock(address: string, { port, secret, host }: Meeting, rank: number): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect({ host: address, port });
      let isThere = false;
      const giveUp = setTimeout(() => socket.destroy(), PATIENCE);
      const line = new Line(
        socket,
        (message) => {
          if (isThere) return this.#heard(message);
          if (message?.say !== 'welcome') return socket.destroy();
          isThere = true;
          this.#lines.push(line);
          resolve(true);
        },
        (how) => {
          clearTimeout(giveUp);
          if (isThere) this.#lost(`rank 0 (${host}) ${how}`);
          else resolve(false);
        },
      );
      socket.once('connect', () => {
        clearTimeout(giveUp);
        line.send({ say: 'hello', secret, rank, host: hostname() });
      });
    });
  }

  #heard(message: Message | null): void {
    if (message?.say === 'lost') this.#lost(message.reason);
  }

  #lost(reason: string): void {
    if (this.#isOver) return;
    void this.tell(reason).then(() => this.#onLost(reason));
  }
}

function parse(line: string): Message | null {
  try {
    return JSON.parse(line) as Message;
  } catch {
    return null; // a stranger's
  }
}

function ownAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((all) => all ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith('fe80:'))
    .map(({ address }) => address);
}

/** On one host, the loopback goes on when networks come and go. */
const reachable = ({ host, addresses }: Meeting): string[] =>
  host === hostname() ? ['127.0.0.1', ...addresses] : addresses;
