import { signal } from '@preact/signals';

const STORED = 'paella-software-hint';

/** Whether the reader knows that the adapter is slow. */
export const isHintDismissed = signal(wasDismissed());

/** For good, where the browser lets the page keep it. */
export function dismissHint(): void {
  isHintDismissed.value = true;
  try {
    localStorage.setItem(STORED, 'dismissed');
  } catch {
    // then until the page is closed
  }
}

function wasDismissed(): boolean {
  try {
    return localStorage.getItem(STORED) !== null;
  } catch {
    return false; // where cookies are blocked, storage throws
  }
}
