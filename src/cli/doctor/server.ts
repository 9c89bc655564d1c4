/** What a running server says of itself, and of what its projects declared: the did.json of each app, webhooks. */
import * as z from 'zod'
import { fetchKeys, type PublicKeys } from '../../notify/client/app-keys.ts'
import { fetchJson } from '../../platform/net/fetch-json.ts'
import { systemClock } from '../../platform/runtime/clock.ts'
import { equalBytes } from '../../protocol/bytes.ts'
import { type Ask, allPages } from '../admin-client.ts'
import { eachOf, type Finding, failed, ok, skipped, warning } from './finding.ts'

const deps = { clock: systemClock, fetch }
const readiness = z.object({
  ready: z.boolean(),
  checks: z.record(z.string(), z.string()),
  reasons: z.array(z.string()).optional(),
  pressure: z.string().optional(),
})

/** Undefined where no server answers. */
export const serverState = async (url: string | undefined): Promise<Finding[] | undefined> => {
  if (url === undefined) return undefined
  const answer = await fetchJson(deps, `${url}/ready`).catch(() => undefined)
  const said = readiness.safeParse(answer?.body)
  if (!answer || !said.success) return undefined
  const { ready, checks, reasons = [], pressure } = said.data
  const names = Object.keys(checks).join(', ')
  return [
    ready
      ? ok('server', `The server at ${url} is ready: ${names}.`)
      : failed('server', `The server at ${url} is not ready: ${reasons.join('; ') || 'see its log'}.`),
    ...(pressure === undefined
      ? []
      : [
          warning(
            'server',
            `Its store is nearly full (${pressure}): nothing new of strangers is kept. Make room.`,
          ),
        ]),
  ]
}

/** Apps whose domains are asked, and how many of them at once. */
const MAX_APPS = 500
const AT_ONCE = 8
const DOMAIN_TIMEOUT_MS = 5_000
/** No address of the internet answers for these. */
const IS_LOCAL = /^localhost(?::|$)/

const sameKeys = (a: PublicKeys, b: PublicKeys): boolean =>
  a.authentication === b.authentication && equalBytes(a.subscribe, b.subscribe)

const nothing = (): undefined => undefined

const keysOfApp = async (url: string, domain: string): Promise<Finding> => {
  const about = `did.json of ${domain}`
  const own = `${url}/apps/${domain}/did.json`
  if (IS_LOCAL.test(domain)) return skipped(about, 'It is an app of this machine.')
  const [theirs, ours] = await Promise.all([
    fetchKeys(deps, `https://${domain}/.well-known/did.json`, { patience: DOMAIN_TIMEOUT_MS }).catch(nothing),
    fetchKeys(deps, own).catch(nothing),
  ])
  if (!ours) return warning(about, `The server does not answer ${own}.`)
  if (!theirs) {
    return warning(
      about,
      `https://${domain}/.well-known/did.json has no keys, so wallets find them on this machine only, or with trustServer: publish ${own} there.`,
    )
  }
  return sameKeys(theirs, ours)
    ? ok(about, 'The domain publishes the keys that the server has.')
    : failed(about, `The domain publishes other keys, so wallets cannot subscribe: publish ${own} there.`)
}

const appsPage = z.object({ apps: z.array(z.object({ domain: z.string() })), next: z.string().nullable() })

export const keysOfApps = async (ask: Ask, url: string): Promise<Finding[]> => {
  const { apps } = await ask(appsPage, 'GET', `/admin/apps?limit=${MAX_APPS}`)
  if (apps.length === 0)
    return [skipped('did.json', 'There are no apps yet: declare one with belfry app add.')]
  const found = await eachOf(apps, AT_ONCE, ({ domain }) => keysOfApp(url, domain))
  return apps.length < MAX_APPS
    ? found
    : [...found, skipped('did.json', `There are more apps; the first ${MAX_APPS} were looked at.`)]
}

const projectsPage = z.object({
  projects: z.array(z.object({ id: z.string() })),
  next: z.string().nullable(),
})
const webhooksOf = z.object({
  webhooks: z.array(
    z.object({
      id: z.string(),
      url: z.string(),
      state: z.string(),
      reason: z.string(),
      hasDeadLetters: z.boolean(),
    }),
  ),
})
type Webhook = z.infer<typeof webhooksOf>['webhooks'][number]

const stateOfWebhook = (
  projectId: string,
  { id, url, state, reason, hasDeadLetters }: Webhook,
): Finding[] => {
  const about = `webhook ${id}`
  const place = `${url} of project ${projectId}`
  if (state === 'disabled') {
    return [
      failed(
        about,
        `${place} is disabled (${reason}): mend the receiver, then change the webhook, which enables it.`,
      ),
    ]
  }
  if (state === 'pending')
    return [warning(about, `${place} has not agreed to its challenge yet: it gets no event before.`)]
  return [
    hasDeadLetters
      ? warning(about, `${place} has dead letters: mend the receiver, then replay them.`)
      : ok(about, `${place} takes its events.`),
  ]
}

export const webhooksOfProjects = async (ask: Ask): Promise<Finding[]> => {
  const projects = await allPages(async (after) => {
    const start = after === undefined ? '' : `&after=${encodeURIComponent(after)}`
    const { projects: items, next } = await ask(projectsPage, 'GET', `/admin/projects?limit=500${start}`)
    return { items, next }
  })
  const found = await eachOf(projects, AT_ONCE, async ({ id }) => {
    const path = `/admin/projects/${encodeURIComponent(id)}/webhooks`
    const { webhooks } = await ask(webhooksOf, 'GET', path)
    return webhooks.flatMap((webhook) => stateOfWebhook(id, webhook))
  })
  return found.length > 0 && found.flat().length > 0 ? found.flat() : [skipped('webhooks', 'There are none.')]
}

const pushChecks = z.object({
  checks: z.array(
    z.object({ project: z.string(), provider: z.string(), isGood: z.boolean(), detail: z.string() }),
  ),
})

/** Shows the credentials of the server to the providers of pushes. */
export const pushCredentials = async (ask: Ask): Promise<Finding[]> => {
  const { checks } = await ask(pushChecks, 'POST', '/admin/push/check')
  if (checks.length === 0) return [skipped('push', 'No project has credentials; Web Push needs none.')]
  return checks.map(({ project, provider, isGood, detail }) => {
    const about = `push ${provider} of ${project}`
    return isGood
      ? ok(about, detail)
      : failed(about, `${detail}: set good ones with belfry push credentials.`)
  })
}
