import { render } from 'preact';
import { App } from './app.js';
import { watchAbsence } from './state/away.js';
import { start } from './state/engine.js';
import { keepSettings } from './state/settings.js';

render(<App />, document.getElementById('app')!);
keepSettings();
watchAbsence();
void start();
