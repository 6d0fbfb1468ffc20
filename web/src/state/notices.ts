import { signal } from '@preact/signals';

/** Something to tell, whatever the page shows. */
export interface Notice {
  /** Errors stay until they are dismissed; the rest goes by itself. */
  kind: 'info' | 'error';
  /** Says what happened, and what to do. */
  text: string;
  /** What the reader may want to do about it; doing it dismisses the notice. */
  action?: { label: string; run: () => void };
}

/** Oldest first. */
export const notices = signal<readonly Notice[]>([]);

/** Shows a notice; one that says the same is replaced. */
export function notify(notice: Notice): void {
  notices.value = [...notices.value.filter(({ text }) => text !== notice.text), notice];
}

export function dismiss(notice: Notice): void {
  notices.value = notices.value.filter((other) => other !== notice);
}
