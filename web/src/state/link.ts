/** The settings of the form as a link: behind the hash, which browsers do not send to servers. */
import { type Settings, change, initial } from './settings.js';

type Shared = Omit<Settings, 'seedLocked'>;

/** The address of the page with settings; those that are as the page has them by itself are left out. */
export function linkOf(form: Settings): string {
  const { seedLocked: _locked, ...shared } = form;
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(shared) as [keyof Shared, Shared[keyof Shared]][]) {
    if (String(value) !== '') parameters.set(key, String(value));
  }
  const url = new URL(location.href);
  url.hash = parameters.toString();
  return url.href;
}

/** Takes the settings of links over, of that which opened the page and of later ones. */
export function readLinks(): void {
  const read = (): void => {
    const linked = settingsOfLink(location.hash);
    if (!linked) return;
    change(linked);
    // What is changed afterwards is not undone by loading the page again.
    history.replaceState(null, '', location.pathname + location.search);
  };
  read();
  addEventListener('hashchange', read);
}

/** The settings of a link, those that it names; null if it names none. */
function settingsOfLink(hash: string): Partial<Settings> | null {
  const parameters = new URLSearchParams(hash.replace(/^#/, ''));
  const found = Object.entries(initial).flatMap(([key, value]) => {
    const text = parameters.get(key);
    if (text === null || key === 'seedLocked') return [];
    if (typeof value === 'string') return [[key, text]];
    const numbers = text.split(',').map(Number);
    const isPair = Array.isArray(value);
    if (numbers.length !== (isPair ? 2 : 1) || !numbers.every(Number.isFinite)) return [];
    return [[key, isPair ? numbers : numbers[0]]];
  });
  return found.length > 0 ? (Object.fromEntries(found) as Partial<Settings>) : null;
}
