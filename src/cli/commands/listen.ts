/**
 * `belfry listen`: a wallet in the terminal. It has a key of its own, subscribes to an app, and prints what comes. Nothing
 * of it is left when it ends, unless `--keep` names a file for its key: then it is the same account the next time, and gets
 * what came meanwhile.
 */
import * as z from 'zod'
import { ownerFrom } from '../../platform/ethereum-owner.ts'
import { fetchJson } from '../../platform/net/fetch-json.ts'
import { systemClock } from '../../platform/runtime/clock.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { extrasOf } from '../../protocol/notify/extras.ts'
import { createWallet, type ReceivedNotification, type Wallet } from '../../sdk/wallet.ts'
import { ACCESS_FLAGS, JSON_FLAG, noAnswer, print, printJson, urlOf } from '../admin-client.ts'
import { type Args, defineCommand, type Typed } from '../command.ts'
import { CommandFailure } from '../command-failure.ts'
import { keep, newWallet, openKept } from '../kept-wallet.ts'
import { untilStopped } from '../until-stopped.ts'

const { data, server } = ACCESS_FLAGS
const flags = {
  domain: { type: 'positional', required: true, description: 'The app that is listened to' },
  type: {
    type: 'string',
    valueHint: 'TYPE',
    description: 'Id or name of a type; may be repeated [all that the app has]',
  },
  keep: {
    type: 'string',
    valueHint: 'FILE',
    description: 'Keep the key here and stay subscribed: the next time it is the same account',
  },
  ...JSON_FLAG,
  ...{ data, server },
} as const satisfies Args

const declaration = z.object({
  data: z.object({ notificationTypes: z.array(z.object({ id: z.string(), name: z.string() })) }),
})
type AppType = z.infer<typeof declaration>['data']['notificationTypes'][number]

const typesOf = async (url: string, domain: string): Promise<AppType[]> => {
  const query = new URLSearchParams({ appDomain: domain })
  const { status, body } = await fetchJson(
    { clock: systemClock, fetch },
    `${url}/w3i/v1/notify-config?${query}`,
  ).catch((cause: unknown) => {
    throw noAnswer(url, cause)
  })
  const parsed = declaration.safeParse(body)
  if (status === 200 && parsed.success) return parsed.data.data.notificationTypes
  throw new CommandFailure(
    `${url} has no app ${domain}. Declare it with: belfry app add ${domain} --type 'News: what is new'`,
  )
}

const wantedIds = (types: readonly AppType[], wanted: readonly string[] | undefined): string[] => {
  if (wanted === undefined) return types.map(({ id }) => id)
  return wanted.map((text) => {
    const found = types.find(({ id }) => id === text) ?? types.find(({ name }) => name === text)
    if (found) return found.id
    const names = types.map(({ name }) => name).join(', ') || 'none'
    throw new CommandFailure(`The app has no type ${JSON.stringify(text)}; it has: ${names}.`)
  })
}

/** Whatever an app writes, it is text: control characters would be commands to the terminal. */
const plain = (text: string): string => text.replaceAll(/\p{Cc}+/gu, ' ')

const printMessage = (isJson: boolean, types: readonly AppType[], received: ReceivedNotification): void => {
  const { domain, account, notification } = received
  const type = types.find(({ id }) => id === notification.type)?.name ?? notification.type
  const { id, title, body, url, icon, sentAt } = notification
  const at = new Date(sentAt)
  const extras = extrasOf({ ...notification })
  const buttons = (extras.actions ?? []).map((action) => `  [${action.title}]`).join('')
  const link = url === null ? '' : `  ${url}`
  const line = `${at.toTimeString().slice(0, 8)}  ${type}  ${title}: ${body}${link}${buttons}`
  const message = {
    event: 'message',
    domain,
    account,
    id,
    type,
    title,
    body,
    url,
    icon,
    sentAt: at.toISOString(),
    ...extras,
  }
  if (isJson) printJson(message)
  else print(plain(line))
}

/** What is not answered by then is told to whoever sits there. */
const REQUEST_TIMEOUT_MS = 10_000

const openWallet = (url: string, domain: string, file: string | undefined): Wallet => {
  const { ownerKey, state } = file === undefined ? newWallet() : openKept(file, url)
  const save = (next: unknown) => {
    if (file !== undefined) keep(file, { url, ownerKey, state: next })
  }
  return createWallet({
    url,
    ...ownerFrom(ownerKey),
    domain,
    trustServer: true,
    requestTimeout: REQUEST_TIMEOUT_MS,
    state,
    save,
  })
}

/** What a wallet is refused is a sentence. */
const asFailure = (error: unknown): never => {
  if (error instanceof ProtocolError) throw new CommandFailure(`${error.message}.`, { cause: error })
  throw error
}

const listenTo = async ({ one, all, on }: Typed, domain: string): Promise<void> => {
  const url = urlOf({ one })
  const isJson = on.has('json')
  const types = await typesOf(url, domain)
  const scope = wantedIds(types, all.type)
  const stopped = untilStopped()
  await using wallet = openWallet(url, domain, one.keep)
  wallet.on('message', (received) => printMessage(isJson, types, received))
  await wallet.subscribe(domain, scope).catch(asFailure)
  const names = types.filter(({ id }) => scope.includes(id)).map(({ name }) => name)
  const { account } = wallet
  if (isJson) printJson({ event: 'subscribed', domain, account, types: names })
  else print(`${account} is subscribed to ${domain} (${names.join(', ') || 'no types'}). Ctrl-C ends it.`)
  await stopped
  if (one.keep !== undefined) return
  // The server may be gone before it: then its subscription ends by itself, after 30 days.
  await wallet
    .delete(domain)
    .then(() => wallet.unregister())
    .catch(() => {})
}

export const listen = defineCommand({
  args: flags,
  examples: [
    'listen app.example.com',
    'listen app.example.com --type News --json',
    'listen app.example.com --keep ./listener.json',
  ],
  async run(typed) {
    const [domain = ''] = typed.rest
    await listenTo(typed, domain)
  },
})
