/** Serves the built page on localhost: `npm start -w web`. */
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import sirv from 'sirv';

const port = Number(process.env.PORT ?? 8080);
createServer(sirv(fileURLToPath(new URL('dist', import.meta.url)))).listen(port, '127.0.0.1', () => {
  process.stdout.write(`http://localhost:${port}\n`);
});
