import { signal } from '@preact/signals';

export const tabs = ['create', 'inspect', 'train', 'bench'] as const;
export type Tab = (typeof tabs)[number];

/** What the page shows. */
export const tab = signal<Tab>('create');
