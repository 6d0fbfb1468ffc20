import { signal } from '@preact/signals';
import type { FunctionComponent } from 'preact';
import { useEffect } from 'preact/hooks';
import { type Trouble, troubleOf } from '../state/trouble.js';
import { TroubleBox } from './trouble.js';

/** A part of the page whose code is loaded when it is first shown, so that nobody waits for it before. */
export function later<Props>(load: () => Promise<FunctionComponent<Props>>): FunctionComponent<Props> {
  const loaded = signal<{ Part?: FunctionComponent<Props>; trouble?: Trouble }>({});
  const begin = (): Promise<void> =>
    load().then(
      (Part) => void (loaded.value = { Part }),
      (error: unknown) => void (loaded.value = { trouble: troubleOf(error) }),
    );
  return function Later(props) {
    const { Part, trouble } = loaded.value;
    useEffect(() => {
      if (!loaded.peek().Part) void begin();
    }, []);
    if (Part) return <Part {...props} />;
    return (
      <div role="alert">{trouble && <TroubleBox trouble={trouble} onRemedy={() => void begin()} />}</div>
    );
  };
}
