import * as Comlink from 'comlink';
import * as files from './files.js';

Comlink.expose(files);
