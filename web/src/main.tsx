import { render } from 'preact';
import { App } from './app.js';
import { start } from './state/engine.js';
import { keepSettings } from './state/settings.js';

render(<App />, document.getElementById('app')!);
keepSettings();
void start();
