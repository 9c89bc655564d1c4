/** What probes ask, documents about the server, and pages, in the words of OpenAPI. */
import * as z from 'zod'
import type { Operation, RoomDescription } from '../../platform/net/description.ts'

const Ready = z
  .object({
    ready: z.boolean(),
    checks: z.record(z.string(), z.enum(['ok', 'failed'])),
    reasons: z.array(z.string()).optional(),
    pressure: z.string().optional(),
  })
  .meta({ id: 'Ready' })
const CHECKS = { store: 'ok', relay: 'ok', process: 'ok' }

export const OPS: RoomDescription = {
  tag: { name: 'operations', description: 'For probes and monitoring; nobody is kept away from these' },
  operations: [
    {
      ...{ id: 'getHealth', method: 'get', path: '/health' },
      summary: 'Ask whether the process runs',
      description: 'Answered while the process runs, whatever else does not.',
      answer: z.object({ status: z.literal('ok') }),
      example: { answer: { status: 'ok' } },
    },
    {
      ...{ id: 'getReady', method: 'get', path: '/ready' },
      summary: 'Ask whether the server can serve',
      description: 'Looks at the store, the relay and the process itself, for 2 s at most.',
      answer: { says: 'It can', shape: Ready },
      also: [
        {
          ...{ status: 503, says: 'It cannot; `reasons` says why', shape: Ready },
          example: {
            ready: false,
            checks: { ...CHECKS, process: 'failed' },
            reasons: ['The server is stopping'],
          },
        },
      ],
      example: { answer: { ready: true, checks: CHECKS } },
    },
    {
      ...{ id: 'getMetrics', method: 'get', path: '/metrics' },
      summary: 'Get metrics',
      description: 'The text format of Prometheus. By default metrics are on a port of their own.',
      answer: { shape: z.string(), type: 'text/plain', example: 'belfry_relay_connections 2\n' },
      example: {},
    },
  ],
}

/** What has an entity tag is not sent again to who says that it has it. */
const NOT_MODIFIED = { status: 304, says: 'The client has it already, as `If-None-Match` says' } as const
const UNTAGGED: ReadonlySet<string> = new Set(['/docs', '/docs/page.js'])

const page = (
  [id, path, type]: readonly [id: string, path: string, type: string],
  summary: string,
  description: string,
): Operation => ({
  ...{ id, method: 'get', path, summary, description },
  answer: { shape: z.string(), type },
  ...(!UNTAGGED.has(path) && { also: [NOT_MODIFIED] }),
  example: {},
})

const HTML = 'text/html'
const SCRIPT = 'text/javascript'
const PNG = 'image/png'

export const PAGES: RoomDescription = {
  tag: { name: 'pages', description: 'Pages for people, documents for programs, and what these load' },
  params: {
    file: z.string().min(1).max(128).describe('Name of the file'),
    page: z.string().min(1).max(128).describe('Name of the page'),
  },
  operations: [
    page(['getInbox', '/', HTML], 'Open the inbox', 'A wallet for notifications, in a browser.'),
    page(['getConsole', '/console', HTML], 'Open the console', 'Where operators look after the server.'),
    page(
      ['getApiPage', '/docs', HTML],
      'Open the API page',
      'This document for people; it loads nothing from elsewhere.',
    ),
    page(
      ['getApiPageScript', '/docs/page.js', SCRIPT],
      'Get the script of the API page',
      'It starts the bundle.',
    ),
    page(
      ['getApiPageBundle', '/docs/reference.js', SCRIPT],
      'Get the bundle of the API page',
      'Always as gzip.',
    ),
    {
      ...{ id: 'getOpenApi', method: 'get', path: '/openapi.json' },
      summary: 'Get this document',
      description: 'OpenAPI 3.1, of the rooms that are on.',
      also: [NOT_MODIFIED],
      answer: z.looseObject({ openapi: z.string(), paths: z.record(z.string(), z.unknown()) }),
      example: { answer: { openapi: '3.1.0', paths: {} } },
    },
    page(
      ['getLlmsTxt', '/llms.txt', 'text/plain'],
      'Get the map for language models',
      'What Belfry is, and where its documents are.',
    ),
    {
      ...page(
        ['getDocument', '/docs/{page}', 'text/markdown'],
        'Get a page of the documents',
        'As it is in the package.',
      ),
      failures: { 404: 'No such page' },
      example: { params: { page: 'quickstart.md' } },
    },
    {
      ...page(
        ['getAsset', '/assets/{file}', SCRIPT],
        'Get what a page loads',
        'A name says what is in the file, so it may be kept.',
      ),
      failures: { 404: 'No such file' },
      example: { params: { file: 'inbox.js' } },
    },
    page(
      ['getWorker', '/worker.js', SCRIPT],
      "Get the inbox's service worker",
      'It shows pushes while the inbox is closed.',
    ),
    page(
      ['getManifest', '/inbox.webmanifest', 'application/manifest+json'],
      "Get the inbox's manifest",
      'With it a browser installs the inbox.',
    ),
    page(['getIcon', '/icon.svg', 'image/svg+xml'], 'Get the icon', 'For browsers.'),
    page(['getSmallIcon', '/icon-192.png', PNG], 'Get the icon, 192 pixels wide', 'For devices.'),
    page(['getLargeIcon', '/icon-512.png', PNG], 'Get the icon, 512 pixels wide', 'For devices.'),
  ],
}
