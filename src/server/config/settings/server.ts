/** The server: where it listens, how it is reached, what it keeps, which rooms it serves. */
import * as z from 'zod'
import { list, type Setting, setting, url } from './setting.ts'
import { wholeNumber } from './whole-number.ts'

export const ROOMS = [
  'relay',
  'notify',
  'keys',
  'contacts',
  'mq',
  'archive',
  'sessions',
  'push',
  'verify',
  'operator',
] as const
export const PAGES = ['inbox', 'console'] as const
/** Served only where they are named. */
const ON_REQUEST: readonly string[] = ['operator']

export const SERVER_SETTINGS = {
  port: setting({
    schema: wholeNumber(0, 65_535).default(8080),
    env: 'PORT',
    flag: 'port',
    hint: 'N',
    must: 'a whole number from 0 to 65535',
    about: 'Port for HTTP and WebSocket; 0 takes a free one',
  }),
  host: setting({
    schema: z.string().min(1).max(253).optional(),
    env: 'BELFRY_HOST',
    flag: 'host',
    hint: 'ADDRESS',
    must: 'an address or a host name',
    about: 'Address to listen on',
    fallback: 'every address of this machine',
  }),
  data: setting({
    schema: z.string().min(1).default('./belfry-data'),
    env: 'BELFRY_DATA',
    flag: 'data',
    hint: 'DIR',
    must: 'a directory',
    about: 'Where the store, the secret and the admin token are kept',
  }),
  publicUrl: setting({
    schema: url('http:', 'https:').optional(),
    env: 'BELFRY_PUBLIC_URL',
    flag: 'public-url',
    hint: 'URL',
    must: 'an http or https URL without user, query or fragment',
    about: 'How clients reach this server; once it is set, tokens made out to another server are refused',
    fallback: 'http://localhost:<port>',
  }),
  aliases: setting({
    schema: list(url('http:', 'https:')).default([]),
    env: 'BELFRY_ALIASES',
    flag: 'aliases',
    hint: 'URL,…',
    must: 'a list of http or https URLs, separated by commas',
    about: 'Other URLs under which clients know this server',
    fallback: 'none',
  }),
  secret: setting({
    schema: z.string().min(16).max(1024).optional(),
    env: 'BELFRY_SECRET',
    hint: 'TEXT',
    must: 'at least 16 characters',
    about: 'Seals keys at rest and makes project secrets; losing it loses every subscription',
    fallback: 'made at the first start, in <data>/secret',
    isSecret: true,
  }),
  previousSecret: setting({
    schema: z.string().min(16).max(1024).optional(),
    env: 'BELFRY_SECRET_PREVIOUS',
    hint: 'TEXT',
    must: 'at least 16 characters',
    about: 'While the secret is being changed: the other one, former or next, that opens what is kept',
    fallback: 'none, or in <data>/secret.previous',
    isSecret: true,
  }),
  config: setting({
    schema: z.string().min(1).optional(),
    env: 'BELFRY_CONFIG',
    flag: 'config',
    hint: 'FILE',
    must: 'a file',
    about: 'JSON or YAML with `apps: [{domain, name, types, …}]` and any of these settings',
    fallback: 'none',
  }),
  rooms: setting({
    schema: list(z.enum(ROOMS))
      .pipe(z.array(z.enum(ROOMS)).min(1))
      .default(ROOMS.filter((room) => !ON_REQUEST.includes(room))),
    env: 'BELFRY_ROOMS',
    flag: 'rooms',
    hint: 'NAME,…',
    must: `some of ${ROOMS.join(', ')}, separated by commas`,
    about: 'What this process serves',
  }),
  pages: setting({
    schema: z
      .union([
        z.literal('off').transform((): (typeof PAGES)[number][] => []),
        list(z.enum(PAGES)).pipe(z.array(z.enum(PAGES))),
      ])
      .default([...PAGES]),
    env: 'BELFRY_PAGES',
    flag: 'pages',
    hint: 'NAME,…|off',
    must: `some of ${PAGES.join(', ')}, separated by commas, or off`,
    about:
      'The pages for people that this process serves beside the notify room: the inbox at `/`, the console at `/console`',
  }),
} satisfies Record<string, Setting>
