import { PaellaError, setNoticeHandler } from '@paella/tensor';
import * as Comlink from 'comlink';
import { Engine } from './engine.js';

// Of an error, Comlink sends name, message and stack; the page also shows what to do.
const throwing = Comlink.transferHandlers.get('throw')!;
Comlink.transferHandlers.set('throw', {
  ...throwing,
  serialize(thrown: unknown) {
    const { value } = thrown as { value: unknown };
    if (!(value instanceof PaellaError)) return throwing.serialize(thrown);
    const { name, message, stack, code, fix } = value;
    return [{ isError: true, value: { name, message, stack, code, fix } }, []];
  },
});

// The page itself says what computes.
setNoticeHandler(() => {});

Comlink.expose(new Engine());
