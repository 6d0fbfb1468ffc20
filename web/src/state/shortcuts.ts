import { type ReadonlySignal, signal } from '@preact/signals';

/** Something that a button or a key does. */
export interface Action {
  label: string;
  /** As in aria-keyshortcuts: alternatives separated by spaces, "Control+Z Meta+Z". */
  keys: string;
  enabled: ReadonlySignal<boolean>;
  run: () => void;
}

const STORED = 'paella-single-keys';

/** Whether keys count that are pressed alone. Those who speak to their computer turn them off. */
export const singleKeys = signal(!areOff());

/** For good, where the browser lets the page keep it. */
export function useSingleKeys(on: boolean): void {
  singleKeys.value = on;
  try {
    localStorage.setItem(STORED, on ? 'on' : 'off');
  } catch {
    // then until the page is closed
  }
}

function areOff(): boolean {
  try {
    return localStorage.getItem(STORED) === 'off';
  } catch {
    return false; // where cookies are blocked, storage throws
  }
}

/** The first of the keys, as people write them. */
export function keyText({ keys }: Pick<Action, 'keys'>): string {
  const isMac = /Mac|iPhone|iPad/.test(navigator.userAgent);
  const all = keys.split(' ');
  const first = all.find((combination) => isMac === combination.includes('Meta+')) ?? all[0];
  return first.replace('Control', 'Ctrl').replace('Meta', 'Cmd');
}

/** All there are, for those who look them up. */
export const shortcuts = signal<readonly Action[]>([]);

/** Actions whose keys count from now on. */
export function addShortcuts(actions: readonly Action[]): void {
  shortcuts.value = [...shortcuts.value, ...actions];
}

/** Begins to run actions by their keys, except where keys are for writing or choosing. */
export function listenForShortcuts(): void {
  document.addEventListener('keydown', (event) => {
    if (event.defaultPrevented || isForWriting(event.target)) return;
    const action = shortcuts.value.find(({ keys, enabled }) => enabled.value && isPressed(keys, event));
    if (!action) return;
    event.preventDefault();
    action.run();
  });
}

function isPressed(keys: string, event: KeyboardEvent): boolean {
  return keys.split(' ').some((combination) => {
    const [key, ...modifiers] = combination.split('+').reverse();
    if (modifiers.length === 0 && !singleKeys.value) return false;
    if (event.key.toLowerCase() !== key.toLowerCase()) return false;
    // Some keyboards reach [ and digits only by Shift or by AltGr, which Windows reports as Control and Alt.
    const isLetter = /^[a-z]$/i.test(key);
    if (!isLetter && event.getModifierState('AltGraph')) return modifiers.length === 0;
    return (
      event.ctrlKey === modifiers.includes('Control') &&
      event.metaKey === modifiers.includes('Meta') &&
      event.altKey === modifiers.includes('Alt') &&
      (!isLetter || event.shiftKey === modifiers.includes('Shift'))
    );
  });
}

const WRITTEN = 'textarea, select, [contenteditable], input:not([type=radio], [type=checkbox], [type=range])';

function isForWriting(target: EventTarget | null): boolean {
  return target instanceof Element && (target.matches(WRITTEN) || target.closest('dialog') !== null);
}
