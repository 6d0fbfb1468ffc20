import * as Comlink from 'comlink';

/** A worker stopped, or never started: its answers will not come. */
export class WorkerCrash extends Error {
  override readonly name = 'WorkerCrash';
}

interface Connected<T> {
  remote: Comlink.Remote<T>;
  crash: Promise<never>;
  fail: (why: string) => void;
}

/** A worker that is started when it is first asked for something, and again after a crash. */
export class WorkerConnection<T> {
  readonly #name: string;
  readonly #open: () => Worker;
  #now: Connected<T> | null = null;

  /** @param name what errors call it */
  constructor(name: string, open: () => Worker) {
    this.#name = name;
    this.#open = open;
  }

  /** Rejects with a {@link WorkerCrash} where the answer will never come; Comlink would wait for ever. */
  ask<Answer>(call: (remote: Comlink.Remote<T>) => Promise<Answer>): Promise<Answer> {
    this.#now ??= this.#connect();
    const { remote, crash } = this.#now;
    return Promise.race([call(remote), crash]);
  }

  /** Ends the worker: what was asked of it rejects. */
  fail(why: string): void {
    this.#now?.fail(why);
  }

  #connect(): Connected<T> {
    const worker = this.#open();
    const { promise: crash, reject } = withReject();
    const fail = (why: string): void => {
      worker.terminate();
      this.#now = null;
      reject(new WorkerCrash(`${this.#name} stopped: ${why}`));
    };
    worker.addEventListener('error', (event) => {
      event.preventDefault(); // whoever waits for an answer hears of it
      fail(event.message || 'its script could not be loaded');
    });
    return { remote: Comlink.wrap<T>(worker), crash, fail };
  }
}

function withReject(): { promise: Promise<never>; reject: (error: Error) => void } {
  let reject!: (error: Error) => void;
  const promise = new Promise<never>((_, refuse) => {
    reject = refuse;
  });
  promise.catch(() => {}); // nobody may be waiting
  return { promise, reject };
}
