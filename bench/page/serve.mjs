/** Builds the page and serves it on localhost: `npm run page -w bench`. */
import { createServer } from 'node:http';
import sirv from 'sirv';
import { buildPage, pageFolder } from './build.mjs';

await buildPage();
const port = Number(process.env.PORT ?? 8080);
createServer(sirv(pageFolder)).listen(port, '127.0.0.1', () => {
  process.stdout.write(`http://localhost:${port}\n`);
});
