import type { FunctionComponent, JSX } from 'preact';
import { type Tab, tab, tabs } from './state/view.js';
import { Create } from './ui/create.js';
import { DropZone } from './ui/drop-zone.js';
import { EngineStatus, EngineTrouble } from './ui/engine-status.js';
import { later } from './ui/later.js';
import { Logo } from './ui/logo.js';
import { Notices } from './ui/notices.js';
import { Shortcuts } from './ui/shortcuts.js';

const panels: Record<Tab, { label: string; Panel: FunctionComponent }> = {
  create: { label: 'Create', Panel: Create },
  inspect: { label: 'Inspect', Panel: later(async () => (await import('./ui/inspect.js')).Inspect) },
  train: { label: 'Train', Panel: later(async () => (await import('./ui/train.js')).Train) },
  bench: { label: 'Bench', Panel: later(async () => (await import('./ui/bench.js')).Bench) },
};

export function App(): JSX.Element {
  const { Panel } = panels[tab.value];
  return (
    <>
      <header class="top">
        <h1>
          <Logo /> Paella <small>for WebGPU</small>
        </h1>
        <Tabs />
        <EngineStatus />
        <DropZone />
        <Shortcuts />
      </header>
      <main>
        <EngineTrouble />
        <div id="panel" role="tabpanel" aria-labelledby={`tab-${tab.value}`}>
          <Panel />
        </div>
      </main>
      <Notices />
    </>
  );
}

/** The WAI-ARIA pattern: one stop for the Tab key, arrows between the tabs. */
function Tabs(): JSX.Element {
  const move = (event: KeyboardEvent): void => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    tab.value = tabs[(tabs.indexOf(tab.value) + by + tabs.length) % tabs.length];
    document.getElementById(`tab-${tab.value}`)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label="Parts of the studio" onKeyDown={move}>
      {tabs.map((name) => (
        <button
          key={name}
          id={`tab-${name}`}
          type="button"
          role="tab"
          aria-selected={tab.value === name}
          aria-controls="panel"
          tabIndex={tab.value === name ? 0 : -1}
          onClick={() => (tab.value = name)}
        >
          {panels[name].label}
        </button>
      ))}
    </div>
  );
}
