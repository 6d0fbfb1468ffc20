import { signal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { type Trouble, troubleOf } from '../state/trouble.js';
import { TroubleBox } from './trouble.js';

/** A panel whose code is loaded when it is first shown, so that those who only draw do not wait for it. */
export function later(load: () => Promise<() => JSX.Element>): () => JSX.Element {
  const loaded = signal<{ Panel?: () => JSX.Element; trouble?: Trouble }>({});
  const begin = (): Promise<void> =>
    load().then(
      (Panel) => void (loaded.value = { Panel }),
      (error: unknown) => void (loaded.value = { trouble: troubleOf(error) }),
    );
  return function Later() {
    const { Panel, trouble } = loaded.value;
    useEffect(() => {
      if (!loaded.peek().Panel) void begin();
    }, []);
    if (Panel) return <Panel />;
    return (
      <div role="alert">{trouble && <TroubleBox trouble={trouble} onRemedy={() => void begin()} />}</div>
    );
  };
}
