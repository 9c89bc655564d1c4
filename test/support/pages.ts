/** Pages for a browser: an origin of their own. */
import { createServer } from 'node:http'
import type { ReleaseStack } from '../../src/platform/runtime/release-stack.ts'

/** Serves these scripts by path, and for every other path a page that loads `/page.js`. Resolves to the origin. */
export const servePages = async (owned: ReleaseStack, scripts: Record<string, string>): Promise<string> => {
  const server = createServer(({ url = '/' }, response) => {
    const script = scripts[url]
    const type = script === undefined ? 'text/html' : 'text/javascript'
    const html = '<!doctype html><link rel="icon" href="data:,"><script src="/page.js"></script>'
    response.writeHead(200, { 'content-type': `${type}; charset=utf-8` }).end(script ?? html)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  owned.defer(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
}
