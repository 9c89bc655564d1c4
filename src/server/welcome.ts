/** What `serve` says to whoever starts it. */
import { styleText } from 'node:util'
import type { RunningServer } from './compose.ts'
import type { Config } from './config/config.ts'

/** As a shell takes it for one word. */
const shellWord = (text: string): string =>
  /^[\w./:@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`

/**
 * Commands that end in a received notification. They find the server by its data directory. A wallet needs an address with
 * a relay behind it, too: where this process has none, that of the front.
 */
const attempts = ({ data, rooms, publicUrl }: Config): string[] => {
  const where = data === './belfry-data' ? '' : ` --data ${shellWord(data)}`
  const front = ` --server ${publicUrl === undefined ? 'URL   # the address of all processes together' : shellWord(publicUrl)}`
  const listen = rooms.includes('relay') ? where : front
  return [
    '',
    'Try it, in a second terminal and a third:',
    `  npx belfry app add app.example.com --type 'News: what is new' --listed${where}`,
    `  npx belfry listen app.example.com${listen}`,
    `  npx belfry notify app.example.com --type News --title Hello --body 'from the tower' --all${where}`,
  ]
}

/** What the operator sees once. The secret only on a terminal: elsewhere stderr is kept, and read by others. */
export const welcome = (server: RunningServer, config: Config, isTerminal: boolean): string => {
  const { url, wsUrl, project, metricsUrl } = server
  const has = (room: Config['rooms'][number]) => config.rooms.includes(room)
  const addresses = [
    ...(has('notify') && config.pages.includes('inbox') ? [['inbox', `${url}/`]] : []),
    ...(has('notify') && config.pages.includes('console') ? [['console', `${url}/console`]] : []),
    ['HTTP', url],
    ...(has('notify') ? [['API page', `${url}/docs`]] : []),
    ...(has('relay') ? [['relay', wsUrl]] : []),
    ...(metricsUrl === undefined ? [] : [['metrics', metricsUrl]]),
    ['data', config.data],
    ...(project ? [['project id', project.id]] : []),
    ...(project
      ? [['project secret', isTerminal ? project.secret : 'printed by the first command below']]
      : []),
  ]
  const lines = addresses.map(([name = '', value]) => `  ${name.padEnd(16)}${value}`)
  const title = styleText('bold', 'Belfry runs for the first time here.')
  return ['', title, '', ...lines, ...(project ? attempts(config) : []), '', ''].join('\n')
}

/** Said at every start, when everything works: in words, or as JSON for a program. */
export const readyLine = (
  { url, wsUrl, metricsUrl }: RunningServer,
  { rooms }: Config,
  isTerminal: boolean,
): string => {
  const relay = rooms.includes('relay') ? wsUrl : null
  return isTerminal
    ? `Belfry is ready at ${url}; Ctrl-C ends it.\n`
    : `${JSON.stringify({ ready: true, url, relay, metrics: metricsUrl ?? null })}\n`
}
